import { serve } from './serve.mjs';

// The same work without a protocol: read the body, parse it, write the same head and body bytes. BENCH_ANSWER holds a
// recorded answer, `{ status, headers, parts }`. The request's id goes between the parts.
const { status, headers, parts } = JSON.parse(process.env.BENCH_ANSWER);
const sized = 'content-length' in headers;

serve((req, res) => {
  const chunks = [];
  req.on('data', (chunk) => chunks.push(chunk));
  req.on('end', () => {
    const text = (chunks.length === 1 ? chunks[0] : Buffer.concat(chunks)).toString('utf8');
    const body = parts.join(JSON.stringify(JSON.parse(text).id));
    const head = sized ? { ...headers, 'content-length': Buffer.byteLength(body) } : headers;
    res.writeHead(status, head);
    res.end(body);
  });
});
