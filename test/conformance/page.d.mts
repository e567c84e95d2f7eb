/** A statement in our words, under whom it binds; a reason where no test can prove it; what else is to be known. */
export interface Statement { server?: string, client?: string, both?: string, moot?: string, fails?: string, note?: string }
/** By number, as `3.8.4-1`. */
export type Statements = Record<3 | 5, Record<string, Statement>>
export interface NamedTest { file: string, title: string }

export function readStatements (): Statements
export function readTests (): NamedTest[]
export function conformance (statements: Statements, tests: NamedTest[]): { page: string, problems: string[] }
