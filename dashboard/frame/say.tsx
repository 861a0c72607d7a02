/** Says a change of the headline's kind once, to screen readers. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { headline } from '../fleet/headline.ts';
import { fleet } from '../state/model.ts';

export function Say() {
  const [words, say] = useState('');
  const kind = useRef<string | undefined>(undefined);
  const line = fleet.value === undefined ? undefined : headline();
  useEffect(() => {
    if (line === undefined) return;
    if (kind.current !== undefined && kind.current !== line.kind) say(line.title);
    kind.current = line.kind;
  }, [line?.kind]);
  return (
    <p class="sr" role="status">
      {words}
    </p>
  );
}
