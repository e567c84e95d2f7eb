/** A filter as Aedes holds it: to `$share/…` it answers 0x9E before it asks. */
export const inside = (filter: string): string => filter.startsWith('$share/') ? `$shared/${filter.slice(7)}` : filter
/** The filter that is meant. */
export const outside = (name: string): string => name.startsWith('$shared/') ? `$share/${name.slice(8)}` : name
