/** One instance: its facts, and its drain. */
import type { FleetInstance } from '../../src/dashboard/wire.ts';
import { bytes, count, list, many, NONE, span } from '../format.ts';
import { hello, lanes } from '../state/model.ts';
import type { Lane } from '../state/lanes.ts';
import { confirm } from '../ui/actions.tsx';
import { showDialog, Will, WillLine } from '../ui/dialog.tsx';
import { Fact } from '../ui/parts.tsx';
import { toast } from '../ui/toast.tsx';
import { When } from '../ui/when.tsx';
import { serving } from './sums.ts';

const ofLimit = (value: number | undefined, limit: number | undefined, name: string): string =>
  `${count(value)}${limit === undefined ? '' : ` of ${count(limit)} (${name})`}`;

function Facts({ name }: { name: string }) {
  const instance = lanes.value.find((lane) => lane.name === name)?.instance;
  if (instance === undefined) return <p>This instance left.</p>;
  const { id, pid, host, version, runtime, startedAt, memoryBytes, memoryLimit } = instance;
  return (
    <dl class="facts">
      <Fact name="Instance">
        <code>{id}</code>
      </Fact>
      <Fact name="Process">{pid === undefined ? NONE : `pid ${pid} on ${host ?? NONE}`}</Fact>
      <Fact name="Started">
        <When at={startedAt} ago />
      </Fact>
      <Fact name="Version">{[version, runtime].filter(Boolean).join(', ') || NONE}</Fact>
      <Fact name="Sessions">{ofLimit(instance.sessions, instance.sessionsLimit, 'limits.sessions')}</Fact>
      <Fact name="Running">{instance.running === undefined ? NONE : many(instance.running, 'request')}</Fact>
      <Fact name="Waiting">{count(instance.waiting)}</Fact>
      <Fact name="Streams">{count(instance.getStreams)} GET</Fact>
      <Fact name="Memory">
        {bytes(memoryBytes)}
        {memoryLimit !== undefined && ` of ${bytes(memoryLimit)} (limits.memoryBytes)`}
      </Fact>
      <Fact name="Requests">{count(instance.count?.requests)}</Fact>
      <Fact name="Relayed">{count(instance.count?.relayed)} to other instances</Fact>
    </dl>
  );
}

export function showInstance({ name }: Lane): void {
  showDialog({ title: name, no: 'Close', wide: true, body: () => <Facts name={name} /> });
}

function DrainLines({ id, name }: { id: string; name: string }) {
  const instance = lanes.value.find((lane) => lane.name === name)?.instance;
  const { running, sessions } = instance ?? {};
  const others = serving().flatMap((one) => (one.id === id ? [] : one.name));
  const time = hello.value?.drainMs;
  return (
    <Will>
      <WillLine icon="draining">
        It stops accepting connections. {running === undefined ? 'Running calls' : many(running, 'running call')}{' '}
        {running === 1 ? 'has' : 'have'} {time === undefined ? 'time' : span(time)} to finish.
      </WillLine>
      <WillLine icon="moved">
        Its {sessions === undefined ? 'sessions go' : `${many(sessions, 'session')} ${sessions === 1 ? 'goes' : 'go'}`}{' '}
        to the store and continue on <b>{list(others) || 'no other instance'}</b> with their next request.
      </WillLine>
      <WillLine icon="done">Then the process ends. What started it decides whether it starts again.</WillLine>
      {others.length === 0 && (
        <WillLine icon="gone">
          <b class="c-bad">It is the only instance. </b>
          Until another one starts, connections are refused. Some clients do not come back from that.
        </WillLine>
      )}
    </Will>
  );
}

export function showDrain({ id, name }: FleetInstance): void {
  confirm({
    title: `Drain ${name}?`,
    yes: `Drain ${name}`,
    danger: serving().length < 2,
    body: () => <DrainLines id={id} name={name} />,
    path: `instances/${encodeURIComponent(id)}/drain`,
    done: () => toast(`${name} has the order to drain`),
  });
}
