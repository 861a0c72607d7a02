/**
 * Sessions and tasks of the deployment, as the page lists, searches and shows them: pages of the lists of the store.
 *
 * The cursor of a store may be the id of a session, so a page gets it sealed with a secret of the deployment: every
 * instance opens it, and the page cannot read it. A page names a record by the hash of its id.
 */
import type { Core } from '../../endpoint/core.ts';
import { BoundedMap } from '../../base/bounded-map.ts';
import { systemRandom } from '../../base/system.ts';
import { Refused } from './faces.ts';
import { NONCE_BYTES, open, seal, sealingKey } from '../../protocol/sealed-text.ts';
import { sessionDetail, type SessionRow, sessionRow, taskDetail, type TaskRow, taskRow } from './details.ts';

const KINDS = {
  sessions: { row: sessionRow, detail: sessionDetail },
  tasks: { row: taskRow, detail: taskDetail },
};

const PAGE = 100;
/** Records that one search looks at. The page asks for more with the cursor. */
const SEARCHED = 10_000;
const CURSOR_LENGTH = 2_048;
/** Ids of records that pages were shown, by hash. */
const SHOWN = 1_000;
/** Searches at one time. */
const SCANS = 4;

type Row = SessionRow | TaskRow;

export class ShownRecords {
  readonly #core: Core;
  readonly #kind: keyof typeof KINDS;
  readonly #ids = new BoundedMap<string, string>(SHOWN);
  #scans = 0;
  #key: Uint8Array | undefined;

  constructor(core: Core, kind: keyof typeof KINDS) {
    this.#core = core;
    this.#kind = kind;
  }

  /** @throws Refused for what is no cursor, and while other searches run */
  async page(query: string, sealed = '') {
    const { store, instance } = this.#core;
    const key = (this.#key ??= sealingKey(await store.secret('dashboard'), this.#kind));
    let cursor = sealed === '' || sealed.length > CURSOR_LENGTH ? undefined : open(key, sealed)?.toString();
    if (sealed !== '' && cursor === undefined) throw new Refused(400, 'cursor', 'This is no cursor');
    if (this.#scans >= SCANS) throw new Refused(503, 'busy', 'Other searches run; try again', { 'Retry-After': '1' });
    this.#scans += 1;
    try {
      const alive = await instance.living();
      const rows: Row[] = [];
      let scanned = 0;
      do {
        const page = await store[this.#kind].list(PAGE, cursor);
        cursor = page.nextCursor;
        scanned += page.records.length;
        for (const record of page.records) {
          const row = KINDS[this.#kind].row(record, alive);
          if (!fits(row, record.id, query)) continue;
          this.#ids.set(row.hash, record.id);
          rows.push(row);
        }
      } while (cursor !== undefined && rows.length < PAGE && scanned < SEARCHED);
      const nextCursor = cursor === undefined ? undefined : seal(key, systemRandom(NONCE_BYTES), cursor);
      /** `scanned`: records that were looked at for these rows. */
      return { rows, scanned, nextCursor };
    } finally {
      this.#scans -= 1;
    }
  }

  /** The id of a record. `undefined`: it is not among the first `SEARCHED` of the store. */
  async idOf(hash: string): Promise<string | undefined> {
    if (!this.#ids.has(hash)) await this.page(hash);
    return this.#ids.get(hash);
  }

  async detail(hash: string): Promise<object | undefined> {
    const id = await this.idOf(hash);
    return id === undefined ? undefined : KINDS[this.#kind].detail(hash, id, this.#core);
  }
}

function fits(row: Row, id: string, query: string): boolean {
  const { hash, owner, userName } = row;
  if (query === '' || id === query || owner === query) return true;
  const text = query.toLowerCase();
  const name = 'clientInfo' in row ? row.clientInfo.name : row.tool;
  return hash.startsWith(text) || [userName, name].some((one) => one?.toLowerCase().includes(text));
}
