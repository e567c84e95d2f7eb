/** Who counts as one: an IPv4 address, or the first 64 bits of an IPv6 address, as every host has 2^64 of them. */
export function networkOf (address: string): string {
  if (!address.includes(':')) return address
  const [left = '', right] = address.split('::')
  const groups = left === '' ? [] : left.split(':')
  if (right !== undefined) groups.push(...Array.from({ length: 8 - groups.length - (right === '' ? 0 : right.split(':').length) }, () => '0'))
  return groups.slice(0, 4).join(':')
}
