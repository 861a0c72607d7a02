/** What the TypeScript programs share; the commands and events are those of ../README.md. */
import { createInterface } from 'node:readline';

export function tell(event, more) {
  process.stdout.write(`${JSON.stringify({ event, ...more })}\n`);
}

/**
 * Runs commands until stdin ends. `connect(actor, command)` resolves with `{ session, version, callTool }`;
 * `actor.ask()` reports a question of the server and waits for the command that answers it.
 */
export function obey(connect) {
  const actors = new Map();

  async function call(actor, { call, tool, args }) {
    const { name: client } = actor;
    try {
      const { content, isError = false } = await actor.callTool({ name: tool, arguments: args });
      const text = content.map((block) => block.text ?? block.type).join(' ');
      tell('answered', { client, call, text: text.slice(0, 200), length: text.length, isError });
    } catch (error) {
      tell('failed', { client, call, error: String(error) });
    }
  }

  async function open(actor, command) {
    try {
      const { version, ...connected } = await connect(actor, command);
      Object.assign(actor, connected);
      tell('connected', { client: actor.name, version });
    } catch (error) {
      tell('refused', { client: actor.name, error: String(error) });
    }
  }

  const run = {
    connect(command) {
      const questions = [];
      const ask = () =>
        new Promise((answer) => {
          questions.push(answer);
          tell('asked', { client: command.client });
        });
      const actor = { name: command.client, questions, ask };
      actors.set(command.client, actor);
      void open(actor, command);
    },
    call: (command) => void call(actors.get(command.client), command),
    answer: ({ client }) => actors.get(client).questions.shift()(),
    close({ client }) {
      const closed = () => tell('closed', { client });
      void actors.get(client).session.close().then(closed, closed);
    },
  };
  createInterface({ input: process.stdin })
    .on('line', (line) => {
      const command = JSON.parse(line);
      run[command.do](command);
    })
    .on('close', () => process.exit(0));
}
