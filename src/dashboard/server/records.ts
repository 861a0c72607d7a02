/**
 * Sessions and tasks of the deployment, as the page lists, searches and shows them: pages of the lists of the store.
 *
 * The cursor of a store may be the id of a session, so a page gets it sealed with a secret of the deployment: every
 * instance opens it, and the page cannot read it. A page names a record by the hash of its id.
 */
import type { DashboardParts } from '../../endpoint/dashboard-parts.ts';
import { BoundedMap } from '../../base/bounded-map.ts';
import { systemRandom } from '../../base/system.ts';
import { NONCE_BYTES, open, seal, sealingKey } from '../../protocol/sealed-text.ts';
import type { Records, StoredRecord } from '../../stores/store.ts';
import type { RecordPage } from '../wire.ts';

const PAGE = 100;
/** Records that one search looks at. The page asks for more with the cursor. */
const SEARCHED = 10_000;
const CURSOR_LENGTH = 2_048;
/** Ids of records that pages were shown, by hash. */
const SHOWN = 1_000;
/** Searches at one time. */
const SCANS = 4;

/** What of a record can be searched, besides its id. */
interface Searchable {
  readonly hash: string;
  readonly owner?: string | undefined;
  readonly userName?: string | undefined;
  readonly tool?: string | undefined;
  readonly clientInfo?: { readonly name: string };
}

interface RecordsOptions<Row> {
  readonly records: () => Records;
  /** What the secret of its cursors is for. */
  readonly purpose: string;
  row(record: StoredRecord, alive: ReadonlySet<string>): Row;
}

export class ShownRecords<Row extends Searchable> {
  readonly #parts: DashboardParts;
  readonly #of: RecordsOptions<Row>;
  readonly #ids = new BoundedMap<string, string>(SHOWN);
  #scans = 0;
  #key: Uint8Array | undefined;

  constructor(parts: DashboardParts, of: RecordsOptions<Row>) {
    this.#parts = parts;
    this.#of = of;
  }

  /** `cursor`: that was none. `busy`: other searches run. */
  async page(query: string, sealed: string): Promise<RecordPage<Row> | 'cursor' | 'busy'> {
    const key = (this.#key ??= sealingKey(await this.#parts.store.secret('dashboard'), this.#of.purpose));
    let cursor = sealed === '' || sealed.length > CURSOR_LENGTH ? undefined : open(key, sealed)?.toString();
    if (sealed !== '' && cursor === undefined) return 'cursor';
    if (this.#scans >= SCANS) return 'busy';
    this.#scans += 1;
    try {
      const alive = await this.#parts.instance.living();
      const rows: Row[] = [];
      let scanned = 0;
      do {
        const page = await this.#of.records().list(PAGE, cursor);
        cursor = page.nextCursor;
        scanned += page.records.length;
        for (const record of page.records) {
          const row = this.#of.row(record, alive);
          if (!fits(row, record.id, query)) continue;
          this.#ids.set(row.hash, record.id);
          rows.push(row);
        }
      } while (cursor !== undefined && rows.length < PAGE && scanned < SEARCHED);
      const next = cursor === undefined ? {} : { nextCursor: seal(key, systemRandom(NONCE_BYTES), cursor) };
      return { rows, scanned, ...next };
    } finally {
      this.#scans -= 1;
    }
  }

  /** The id of a record. `undefined`: it is not among the first `SEARCHED` of the store. */
  async idOf(hash: string): Promise<string | undefined> {
    if (!this.#ids.has(hash)) await this.page(hash, '');
    return this.#ids.get(hash);
  }
}

function fits({ hash, owner, userName, tool, clientInfo }: Searchable, id: string, query: string): boolean {
  if (query === '' || id === query || owner === query) return true;
  const text = query.toLowerCase();
  return hash.startsWith(text) || [userName, tool, clientInfo?.name].some((one) => one?.toLowerCase().includes(text));
}
