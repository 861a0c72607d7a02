/**
 * Every error that sojourn answers with or throws. There is one class, and a named function builds each error. Its
 * message says what happened, with which value, and what to do. `docs/reference/errors.md` lists every code.
 */
export { RPC, ERROR_CODES, type ErrorCode } from './errors/codes.ts';
export { SojournError, rpcError } from './errors/sojourn-error.ts';
export * from './errors/request.ts';
export * from './errors/session.ts';
export * from './errors/limits.ts';
export * from './errors/unavailable.ts';
export * from './errors/lost-calls.ts';
export * from './errors/once.ts';
export * from './errors/states.ts';
export * from './errors/tasks.ts';
export * from './errors/stdio.ts';
export * from './errors/server-code.ts';
export * from './errors/configuration.ts';
