/** Whether an error that a handler throws is the answer that it wants to give. */
/** What a handler throws to answer with an error: a `ProtocolError`, or an `McpError` of version 1. */
interface RequestError extends Error {
  readonly code: number;
  readonly data?: unknown;
}

/** Others have a number as their code too: a `DOMException`, errors of gRPC and of MongoDB. */
export function isAnswer(error: unknown): error is RequestError {
  if (!(error instanceof Error)) return false;
  const { code, name } = error as { readonly code?: unknown; readonly name: string };
  return typeof code === 'number' && (ANSWERS.has(name) || (code >= FIRST_CODE && code <= LAST_CODE));
}

/** The classes of both versions of the SDK. */
const ANSWERS: ReadonlySet<string> = new Set(['ProtocolError', 'McpError']);
/** What JSON-RPC reserves for its errors. */
const [FIRST_CODE, LAST_CODE] = [-32_768, -32_000];
