import { createServer } from 'node:http';
import { listens } from '../listening.mjs';

// The HTTP service behind the tools: a catalogue of 100,000 products. Its answers are made once, so that it takes little
// of the machine.
const CATEGORIES = ['Electronics', 'Books', 'Clothing', 'Sports', 'Home', 'Garden', 'Toys', 'Food', 'Beauty', 'Tools'];
const products = Array.from({ length: 100_000 }, (_, n) => ({
  id: n + 1,
  sku: `SKU-${String(n + 1).padStart(6, '0')}`,
  name: `Item ${n + 1}`,
  category: CATEGORIES[n % CATEGORIES.length],
  brand: `Brand ${n % 50}`,
  price: 1 + (n % 99_900) / 100,
  stock: n % 501,
  rating: 1 + (n % 40) / 10,
  tags: ['sale', 'new', 'featured'].slice(0, 1 + (n % 3)),
  weight: (1 + (n % 100)) / 10,
  description: `Quality ${CATEGORIES[n % CATEGORIES.length]}, SKU ${n + 1}.`,
}));

const answers = new Map();

function search(query) {
  const [least, most, limit] = ['min_price', 'max_price', 'limit'].map((name) => Number(query.get(name)));
  const category = query.get('category');
  const found = products
    .filter((product) => product.category === category && product.price >= least && product.price <= most)
    .sort((a, b) => a.price - b.price);
  return { category, total_found: found.length, products: found.slice(0, limit) };
}

function answer(url) {
  const { pathname, searchParams } = new URL(url, 'http://api');
  if (pathname === '/products/search') return search(searchParams);
  return products[Number(pathname.split('/').at(-1)) - 1];
}

function calculate({ user_id, items }) {
  const subtotal = items.reduce((sum, { product_id, quantity }) => sum + products[product_id - 1].price * quantity, 0);
  return { order_id: `ORD-${user_id}-${items.length}`, user_id, subtotal, total: subtotal * 1.085 };
}

const server = createServer((req, res) => {
  const respond = (json) => res.writeHead(200, { 'content-type': 'application/json' }).end(json);
  if (req.method === 'POST') {
    let body = '';
    req.setEncoding('utf8');
    req.on('data', (text) => (body += text));
    req.on('end', () => respond(JSON.stringify(calculate(JSON.parse(body)))));
    return;
  }
  let json = answers.get(req.url);
  if (json === undefined) answers.set(req.url, (json = JSON.stringify(answer(req.url))));
  respond(json);
});
server.keepAliveTimeout = 75_000;
server.listen(0, '127.0.0.1', () => listens(server.address().port));
