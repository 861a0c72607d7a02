/**
 * Sessions, tasks and handles of the deployment, as the page lists, searches and shows them: pages of the lists of the store.
 *
 * A page names a record by its id, sealed with a secret of the deployment (`ref`): every instance opens it, and the page
 * cannot read it. So is the cursor of a store, which may be an id. A person may name a record by the hash of its id.
 */
import type { ShownEndpoint } from './shown-endpoint.ts';
import { digestOf } from '../../base/digest.ts';
import { sessionHash } from '../../base/shown.ts';
import { Refused } from './faces.ts';
import { UnreadableRecords } from '../../stores/shared/unreadable-records.ts';
import { NONCE_BYTES, open, seal, sealingKey } from '../../base/protocol/sealed-text.ts';
import {
  handleDetail,
  type HandleRow,
  handleRow,
  sessionDetail,
  type SessionRow,
  sessionRow,
  taskDetail,
  type TaskRow,
  taskRow,
} from './details.ts';

const KINDS = {
  sessions: { row: sessionRow, detail: sessionDetail },
  tasks: { row: taskRow, detail: taskDetail },
  handles: { row: handleRow, detail: handleDetail },
};

const PAGE = 100;
/** Records that one search looks at. The page asks for more with the cursor. */
const SEARCHED = 10_000;
const HASH = /^[\da-f]{12}$/;
/** Searches at one time. */
const SCANS = 4;

type RecordRow = SessionRow | TaskRow | HandleRow;

export class ShownRecords {
  readonly #endpoint: ShownEndpoint;
  readonly #kind: keyof typeof KINDS;
  readonly #unreadable: UnreadableRecords;
  #scans = 0;
  #key: Uint8Array | undefined;

  constructor(endpoint: ShownEndpoint, kind: keyof typeof KINDS) {
    this.#endpoint = endpoint;
    this.#kind = kind;
    this.#unreadable = new UnreadableRecords(kind, endpoint.options.logger);
  }

  /** @throws Refused for what is no cursor, and while other searches run */
  async page(query: string, from = '') {
    const { store, instance } = this.#endpoint;
    let cursor = from === '' ? undefined : await this.#open(from);
    if (from !== '' && cursor === undefined) throw new Refused(400, 'cursor', 'This is no cursor');
    if (this.#scans >= SCANS)
      throw new Refused(503, 'busy', 'Other searches run; try again', { 'Retry-After': '1' });
    this.#scans += 1;
    try {
      const [key, alive] = [await this.#sealing(), await instance.living()];
      const { row } = KINDS[this.#kind];
      const most = HASH.test(query) ? 1 : PAGE;
      const rows: RecordRow[] = [];
      const unreadable: string[] = [];
      let scanned = 0;
      do {
        const page = await store[this.#kind].list(PAGE, cursor);
        cursor = page.nextCursor;
        scanned += page.records.length;
        const read = this.#unreadable.split(page, (record) => ({
          id: record.id,
          row: row(record, alive),
        }));
        unreadable.push(...read.unreadable);
        for (const one of read.rows)
          if (fits(one.row, one.id, query)) rows.push({ ref: sealed(key, one.id), ...one.row });
      } while (cursor !== undefined && rows.length < most && scanned < SEARCHED);
      const nextCursor = cursor === undefined ? undefined : sealed(key, cursor);
      /** `scanned`: records that were looked at for these rows. `unreadable`: hashes of records that are damaged. */
      return { rows, scanned, unreadable: unreadable.slice(0, PAGE), nextCursor };
    } finally {
      this.#scans -= 1;
    }
  }

  /** The id of a record, of its `ref` or its hash. `undefined`: it is not among the first `SEARCHED` of the store. */
  async idOf(which: string): Promise<string | undefined> {
    const ref = HASH.test(which) ? (await this.page(which)).rows[0]?.ref : which;
    return ref === undefined ? undefined : this.#open(ref);
  }

  async detail(which: string): Promise<object | undefined> {
    const id = await this.idOf(which);
    return id === undefined
      ? undefined
      : KINDS[this.#kind].detail(sessionHash(id), id, this.#endpoint);
  }

  async #sealing(): Promise<Uint8Array> {
    return (this.#key ??= sealingKey(await this.#endpoint.store.secret('dashboard'), this.#kind));
  }

  async #open(text: string): Promise<string | undefined> {
    return open(await this.#sealing(), text)?.toString();
  }
}

/** One text has one nonce, so that the page has one address for a record. */
function sealed(key: Uint8Array, text: string): string {
  return seal(
    key,
    digestOf(Buffer.concat([key, Buffer.from(text)])).subarray(0, NONCE_BYTES),
    text,
  );
}

function fits(
  row: ReturnType<(typeof KINDS)[keyof typeof KINDS]['row']>,
  id: string,
  query: string,
): boolean {
  const { hash, userName } = row;
  const owner = 'owner' in row ? row.owner : 'object' in row ? row.object?.instance : undefined;
  if (query === '' || id === query || owner === query) return true;
  const text = query.toLowerCase();
  const name = 'clientInfo' in row ? row.clientInfo.name : 'kind' in row ? row.kind : row.tool;
  return hash.startsWith(text) || [userName, name].some((one) => one?.toLowerCase().includes(text));
}
