export function pieces (file: string): Map<string, string>
export function filled (page: string): string
export function shown (page: string): string[]
