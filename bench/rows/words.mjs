// How figures are written in the results.
export const count = (n) => Math.round(n).toLocaleString('en-US')
export const times = (ratio) => `${ratio.toFixed(2)}×`
export const ms = (value) => value === null ? '–' : `${value.toFixed(1)} ms`
export const mb = (kb) => `${(kb / 1024).toFixed(0)} MB`
export const kb = (value) => `${value.toFixed(1)} kB`
export const span = (numbers, write) => `${write(Math.min(...numbers))} … ${write(Math.max(...numbers))}`
