import { z } from 'zod';

// The three tools of the public benchmark: what each asks of Redis and of the HTTP service, and what it answers.

const asText = (value) => ({ content: [{ type: 'text', text: JSON.stringify(value) }] });
const parsed = (json) => {
  try {
    return JSON.parse(json);
  } catch {
    return { raw: json };
  }
};

/** `getJson(path)` and `postJson(path, body)` ask the HTTP service. Made per request where a server is made per request. */
export function publicTools({ redis, getJson, postJson }) {
  return [
    {
      name: 'search_products',
      description: 'Search products by category and price range, merged with popularity data',
      inputSchema: {
        category: z.string().default('Electronics'),
        min_price: z.number().default(50),
        max_price: z.number().default(500),
        limit: z.number().default(10),
      },
      async handler({ category, min_price, max_price, limit }) {
        const query = new URLSearchParams({ category, min_price, max_price, limit });
        const [found, popular] = await Promise.all([
          getJson(`/products/search?${query}`),
          redis.zrevrange('bench:popular', 0, 9),
        ]);
        const top = popular.map((member) => Number(member.split(':')[1]));
        const rank = new Map(top.map((id, n) => [id, n + 1]));
        const products = found.products.map(({ id, sku, name, price, rating }) => ({
          id,
          sku,
          name,
          price,
          rating,
          popularity_rank: rank.get(id) ?? 0,
        }));
        return asText({ category, total_found: found.total_found, products, top10_popular_ids: top });
      },
    },
    {
      name: 'get_user_cart',
      description: 'Get user cart details with recent order history',
      inputSchema: { user_id: z.string().default('user-00042') },
      async handler({ user_id }) {
        const cart = await redis.hgetall(`bench:cart:${user_id}`);
        const items = cart.items === undefined ? [] : JSON.parse(cart.items);
        const [, history] = await Promise.all([
          getJson(`/products/${items[0]?.product_id ?? 1}`),
          redis.lrange(`bench:history:${user_id}`, 0, 4),
        ]);
        const total = Number(cart.total ?? 0);
        return asText({
          user_id,
          cart: { items, item_count: items.length, estimated_total: total },
          recent_history: history.map(parsed),
        });
      },
    },
    {
      name: 'checkout',
      description: 'Process checkout: calculate total, update rate limit, record history',
      inputSchema: {
        user_id: z.string().default('user-00042'),
        items: z.array(z.object({ product_id: z.number(), quantity: z.number() })).default([]),
      },
      async handler({ user_id, items }) {
        const user = String(Number(user_id.split('-').at(-1)) % 100).padStart(5, '0');
        const order = JSON.stringify({ order_id: `ORD-${user_id}-${Date.now()}`, items, ts: Date.now() });
        const [calculated, rate] = await Promise.all([
          postJson('/cart/calculate', { user_id, items }),
          redis.incr(`bench:ratelimit:user-${user}`),
          redis.rpush(`bench:history:${user_id}`, order),
          redis.zincrby('bench:popular', 1, `product:${items[0]?.product_id ?? 1}`),
        ]);
        const { order_id, total } = calculated;
        const items_count = items.length;
        return asText({ order_id, user_id, total, items_count, rate_limit_count: rate, status: 'confirmed' });
      },
    },
  ];
}
