import { endpoint, ready } from './smoke-server.mjs';

const { url, close } = await endpoint.listen({ port: 0 });
ready(url, close);
