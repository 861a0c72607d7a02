/** The same call, in a context whose handlers may not see their request (`perSessionExecutionContext`). */
import type { SojournError } from '../../errors.ts';
import type { PostedRequest } from '../streams/event-log.ts';
import type { TaskOfCall } from '../../http/answer-sink.ts';
import { Call } from './call.ts';
import type { CallServices } from './session-of-call.ts';

export class HiddenCall extends Call {
  readonly #call: Call;

  constructor(call: Call) {
    super(call.caller, undefined, true, call.id, call.method, undefined, call.target, call.work);
    this.#call = call;
  }

  override get sent(): PostedRequest | undefined {
    return this.#call.sent;
  }

  override get services(): CallServices | undefined {
    return this.#call.services;
  }

  override get task(): TaskOfCall | undefined {
    return this.#call.task;
  }

  override get share(): string {
    return this.#call.share;
  }

  override get refusal(): SojournError | undefined {
    return this.#call.refusal;
  }

  override refuseWith(error: SojournError): void {
    this.#call.refuseWith(error);
  }
}
