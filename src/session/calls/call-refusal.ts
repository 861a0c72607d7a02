import type { SojournError } from '../../errors.ts';

/** What a handler of this library throws so that its call is answered with a JSON-RPC error, not with `isError`. */
export class CallRefusal extends Error {
  override readonly name = 'CallRefusal';
  readonly refusal: SojournError;

  constructor(refusal: SojournError) {
    super(refusal.message, { cause: refusal });
    this.refusal = refusal;
  }
}
