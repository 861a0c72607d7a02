/**
 * An exchange that was answered with 202 before its messages reached their session: they are handed in when the store is
 * back, and what that attempt answers goes nowhere.
 */
import { ContinuedExchange } from './continued-exchange.ts';

export class AcceptedExchange extends ContinuedExchange {
  constructor(inner: ConstructorParameters<typeof ContinuedExchange>[0]) {
    super(inner, undefined, true, null);
  }

  /** Its messages are delivered whether or not the client stays. */
  override get closed(): boolean {
    return false;
  }
  override get pendingBytes(): number {
    return 0;
  }
  override respond(): void {}
  override write(): void {}
  override end(): void {}
  override destroy(): void {}
  override onClose(): void {}
}
