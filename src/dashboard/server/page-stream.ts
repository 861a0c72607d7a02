/**
 * One open stream of a page. A page that does not read holds little: what is new twice a second is left out while bytes
 * are pending, and a stream with too many of them, or with pending bytes for too long, is broken. The page opens it
 * again.
 */
import type { TimeProvider } from '../../types.ts';
import type { FleetEvent, Hello, HourBin, StoppedInstance, StopDropped } from '../wire.ts';
import type { ChangedRow, Rows } from '../wire-pages.ts';
import type { Fleet, FleetReader } from './fleet.ts';
import type { StreamTarget, StreamWriter } from './dashboard-request.ts';

/** More pending bytes than this: the page is behind. */
const BEHIND_BYTES = 64 * 1024;
const MOST_BYTES = 512 * 1024;
const STUCK_MS = 10_000;

export class PageStream implements StreamWriter, FleetReader {
  readonly wantsRows: boolean;
  readonly #fleet: Fleet;
  readonly #time: Required<TimeProvider>;
  readonly #hello: Hello;
  readonly #open: Set<PageStream>;
  #target: StreamTarget | undefined;
  #behindSince: number | undefined;

  constructor(fleet: Fleet, time: Required<TimeProvider>, hello: Hello, open: Set<PageStream>, wantsRows: boolean) {
    this.#fleet = fleet;
    this.#time = time;
    this.#hello = hello;
    this.#open = open;
    this.wantsRows = wantsRows;
    open.add(this);
  }

  get isOpen(): boolean {
    return this.#target !== undefined;
  }

  begin(target: StreamTarget): void {
    this.#target = target;
    if (!this.wantsRows) this.#write('hello', JSON.stringify(this.#hello));
    // A comment: proxies pass on a head once something follows it.
    else target.write(':\n\n');
    void this.#fleet.add(this);
  }

  left(): void {
    this.#target = undefined;
    this.#open.delete(this);
    this.#fleet.delete(this);
  }

  /** The endpoint closes. */
  end(): void {
    this.#target?.end();
    this.left();
  }

  #break(): void {
    this.#target?.destroy();
    this.left();
  }

  fleet(json: string): void {
    if (!this.#isBehind()) this.#write('fleet', json);
  }

  rows(rows: readonly ChangedRow[]): void {
    const changed: Rows = { at: this.#time.now(), rows };
    if (!this.#isBehind()) this.#write('rows', JSON.stringify(changed));
  }

  event(event: FleetEvent): void {
    this.#write('event', JSON.stringify(event));
  }

  stop(stop: StoppedInstance): void {
    this.#write('stop', JSON.stringify(stop));
  }

  stopDropped(stop: StopDropped): void {
    this.#write('stopDropped', JSON.stringify(stop));
  }

  hour(bin: HourBin): void {
    this.#write('hour', JSON.stringify(bin));
  }

  #isBehind(): boolean {
    const pending = this.#target?.pendingBytes ?? 0;
    if (pending <= BEHIND_BYTES) {
      this.#behindSince = undefined;
      return false;
    }
    const now = this.#time.monotonic();
    this.#behindSince ??= now;
    if (now - this.#behindSince >= STUCK_MS) this.#break();
    return true;
  }

  #write(event: string, json: string): void {
    const target = this.#target;
    if (target === undefined) return;
    target.write(`event: ${event}\ndata: ${json}\n\n`);
    if (target.pendingBytes > MOST_BYTES) this.#break();
  }
}
