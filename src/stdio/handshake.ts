/** `initialize`, as a program of any age takes it. */
import { AnswerError } from '../base/errors/answer-error.ts';
import { KNOWN_VERSIONS } from '../base/protocol/versions.ts';
import type { Child, Result } from './child.ts';
import type { ChildHandshake } from './wire.ts';

/** If a program refuses a version, instead of naming its own, older versions are tried. */
export async function initialize(child: Child, handshake: ChildHandshake): Promise<Result> {
  try {
    return await child.request('initialize', { ...handshake });
  } catch (cause) {
    const older = cause instanceof AnswerError ? olderFor(cause, handshake) : undefined;
    if (older === undefined) throw cause;
    return initialize(child, { ...handshake, protocolVersion: older });
  }
}

/** No code says that it is the version that is refused. */
function olderFor(
  { message, data }: AnswerError,
  { protocolVersion }: ChildHandshake,
): string | undefined {
  const { supported } = Object(data) as { readonly supported?: unknown };
  if (!/version/i.test(message)) return undefined;
  return KNOWN_VERSIONS.find(
    (one) => one < protocolVersion && (!Array.isArray(supported) || supported.includes(one)),
  );
}
