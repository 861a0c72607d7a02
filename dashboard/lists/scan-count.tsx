/** How many rows of a scan fit the filter, and which of its words are unknown. */
import { count } from '../format.ts';

export const ScanCount = ({ shown, of, unknown }: { shown: number; of: number; unknown: readonly string[] }) => (
  <span>
    <b>
      {count(shown)} of {count(of)}
    </b>
    {unknown.length > 0 && <span class="c-bad">, unknown: {unknown.join(' ')}</span>}
  </span>
);
