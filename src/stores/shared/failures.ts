/** Errors that several stores report in the same words. `where` names the server or file, without credentials. */
import { storeUnavailable } from '../../base/errors.ts';
import { sessionHash } from '../../base/shown.ts';

export const noAnswer = (where: string, ms: number): Error =>
  storeUnavailable(`${where} has not answered within ${Math.round(ms)} ms`);

export const notAsked = (where: string, ms: number): Error =>
  storeUnavailable(`${where} could not be asked within ${Math.round(ms)} ms; nothing was changed`);

export const storeClosed = (where: string): Error =>
  storeUnavailable(`the store at ${where} is closed`);

/** A record in an error: the id of a session gives access to it. */
export const shownRecord = (id: string): string => `session ${sessionHash(id)}`;

export const newerRecord = (where: string, id: string, found: number, known: number): Error =>
  storeUnavailable(
    `${where}: ${shownRecord(id)} was written by a newer version of sojourn (record ${found}, ` +
      `this one reads up to ${known})`,
  );

/** `cause`: what reading its texts threw. */
export const damagedRecord = (where: string, id: string, cause?: unknown): Error =>
  new DamagedRecord(
    `${where}: ${shownRecord(id)} is damaged${cause instanceof Error ? `: ${cause.message}` : ''}`,
    {
      cause,
    },
  );

/** No `SojournError`: its message is for operators. */
export class DamagedRecord extends Error {
  override readonly name = 'DamagedRecord';
}
