import type { Quirk } from '../../clients/known.ts';
import type { McpSession } from '../../types.ts';
import type { CallServices } from '../session-host.ts';
import type { Stream } from '../streams/stream.ts';

/** What a message knows of its live session. */
export interface SessionOfCall {
  readonly view: McpSession;
  readonly left: boolean;
  readonly share: string;
  readonly host: { readonly services: CallServices };
  readonly usedGetStream: Pick<Stream, 'resuming'> | undefined;
  hasQuirk(quirk: Quirk): boolean;
}
