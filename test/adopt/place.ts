/** Where one published server is tried: its app, and a temporary folder with a client's files. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export class Place {
  /** The app of the author. */
  readonly app: string;
  /** The folder that a client names as its root. */
  readonly root: string;
  readonly database: string;
  readonly #temporary: string;

  constructor(app: string) {
    this.app = app;
    this.#temporary = mkdtempSync(join(tmpdir(), 'sojourn-adopt-'));
    this.root = join(this.#temporary, 'root');
    this.database = join(this.#temporary, 'sessions.db');
    mkdirSync(this.root);
    writeFileSync(join(this.root, 'present.txt'), 'present');
  }

  /** Puts the folder of the client where the list of servers says `{root}`. */
  fill(text: string): string {
    return text.replaceAll('{root}', this.root);
  }

  close(): void {
    rmSync(this.#temporary, { recursive: true, force: true });
  }
}
