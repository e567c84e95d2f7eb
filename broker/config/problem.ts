/** Where a value of the configuration came from. */
export interface Source {
  from: 'file' | 'environment' | 'flag'
  /** The file, the environment variable or the flag. */
  name: string
  /** Line in the file, from 1. */
  line?: number
}

/** One mistake in the configuration. `message` never holds a value that may be a secret. */
export interface Problem {
  /** Dotted path (`listeners[0].port`), or the name of the file, variable or flag that is wrong as a whole. */
  path: string
  message: string
  /** The known name that was probably meant. */
  nearest?: string
  line?: number
  source?: Source
}

/** Steps from the root to a value: names of keys and indices of lists. */
export type Path = readonly (string | number)[]

/** A path as it is shown: `listeners[0].port`; odd names are quoted. */
export function showPath (path: Path): string {
  let shown = ''
  for (const step of path) {
    if (typeof step === 'number') shown += `[${step}]`
    else shown += (shown === '' ? '' : '.') + (/^[\w-]{1,64}$/.test(step) ? step : JSON.stringify(step.slice(0, 64)))
  }
  return shown
}

/** A problem as one line for people: path, what is wrong, what was meant, where it stands. */
export function showProblem ({ path, message, nearest, line, source }: Problem): string {
  const at = line === undefined ? '' : `:${line}`
  const meant = nearest === undefined ? '' : `; did you mean ${nearest}?`
  if (source === undefined || source.name === path) return `${path}${at}: ${message}${meant}`
  return `${path}: ${message}${meant} (${source.name}${at})`
}
