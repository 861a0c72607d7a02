import { nats } from '../../src/stores/nats/index.ts';
import { describeWithServer } from '../kit/servers/index.ts';
import { instanceTests } from './instances.ts';
import { newPrefix, openView } from './nats-views.ts';

describeWithServer('nats', 'instances in processes of their own on NATS', (server) => {
  instanceTests(async () => {
    const [name, target] = [newPrefix(), server().url];
    return { kind: 'nats', target, name, open: () => openView(nats(target), { name }) };
  });
});
