export function endServers (dir: string): void
