/** Facts beside the timeline: those of `sojourn sessions show`. */
import type { SessionDetail } from '../../src/dashboard/wire-pages.ts';
import { bytes, count, many, NONE, span } from '../format.ts';
import { hello, nameOf, now } from '../state/model.ts';
import { statusText, STATUS_ICON } from '../sessions/columns.tsx';
import { Icon } from '../ui/icon.tsx';
import { Fact } from '../ui/parts.tsx';
import { When } from '../ui/when.tsx';

function endsText({ expiresAt }: SessionDetail): string {
  if (expiresAt === undefined) return NONE;
  if (expiresAt === null) return 'never by itself';
  return `after ${span(expiresAt - now.value)} without a request`;
}

function Basics({ detail }: { detail: SessionDetail }) {
  const { status, owner, epoch, hash, userName, calls, posts, bytes: size, getStreamKept } = detail;
  return (
    <section>
      <h2>Session</h2>
      <dl class="facts">
        <Fact name="State">
          {status === undefined ? (
            NONE
          ) : (
            <span class="pill">
              <Icon name={STATUS_ICON[status]} />
              {statusText(status)}
            </span>
          )}
        </Fact>
        <Fact name="Owner">
          {status === 'live' ? (nameOf(owner) ?? NONE) : 'none'}
          {epoch !== undefined && `, epoch ${epoch}`}
        </Fact>
        <Fact name="Hash">
          <code>{hash}</code>
        </Fact>
        <Fact name="User">{userName ?? NONE}</Fact>
        <Fact name="Opened">
          <When at={detail.createdAt} ago />
        </Fact>
        <Fact name="Active">
          <When at={detail.activeAt} ago />
        </Fact>
        <Fact name="Ends">{endsText(detail)}</Fact>
        <Fact name="Calls">
          {count(calls)}
          {posts !== undefined && `, ${count(posts)} running`}
        </Fact>
        <Fact name="Record">{bytes(size)}</Fact>
        <Fact name="Event log">
          {getStreamKept === undefined
            ? NONE
            : `${many(getStreamKept.messages, 'message')}, ${bytes(getStreamKept.bytes)}`}
        </Fact>
      </dl>
    </section>
  );
}

function Streams({ getStream, posts }: SessionDetail) {
  return (
    <section>
      <h2>Streams</h2>
      <dl class="facts">
        <Fact name="GET">{getStream === undefined ? NONE : getStream ? 'open' : 'not open'}</Fact>
        <Fact name="POST">{posts === undefined ? NONE : `${many(posts, 'answer')} open`}</Fact>
      </dl>
    </section>
  );
}

function Keeps({ state, subscriptions, logLevel, capabilities }: SessionDetail) {
  const entries = Object.entries(state ?? {});
  return (
    <section>
      <h2>What it keeps</h2>
      <dl class="facts">
        <Fact name="State">
          {state === undefined && NONE}
          {state !== undefined && entries.length === 0 && 'none'}
          {entries.map(([key, size]) => (
            <div key={key}>
              <code>{key}</code> {bytes(size)}
            </div>
          ))}
        </Fact>
        <Fact name="Subscribed">{subscriptions === undefined ? NONE : many(subscriptions, 'resource')}</Fact>
        <Fact name="Log level">{logLevel ?? NONE}</Fact>
        <Fact name="Capabilities">{capabilities?.join(', ') || NONE}</Fact>
      </dl>
    </section>
  );
}

function Payloads({ detail, show }: { detail: SessionDetail; show: () => void }) {
  const left = (detail.payloadsUntil ?? 0) - now.value;
  const isOff = hello.value?.payloads === false || hello.value?.payloads === undefined;
  return (
    <>
      <section>
        <h2>Payloads</h2>
        <dl class="facts">
          {left > 0 ? (
            <Fact name="On">for {span(left)} more, in the memory of its owner.</Fact>
          ) : (
            <Fact name="Off">No argument and no result is kept.</Fact>
          )}
        </dl>
      </section>
      {!isOff && left <= 0 && detail.status === 'live' && (
        <section>
          <button class="btn" type="button" onClick={show}>
            Show for this session…
          </button>
        </section>
      )}
    </>
  );
}

export const Facts = ({ detail, showPayloads }: { detail: SessionDetail; showPayloads: () => void }) => (
  <aside aria-label="Facts">
    <Basics detail={detail} />
    <Streams {...detail} />
    <Keeps {...detail} />
    <Payloads detail={detail} show={showPayloads} />
  </aside>
);
