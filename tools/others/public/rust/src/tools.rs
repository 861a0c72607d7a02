//! The three tools: what each asks of Redis and of the HTTP service, and what it answers.

use redis::{AsyncCommands, aio::MultiplexedConnection};
use rmcp::{
    ErrorData, ServerHandler,
    handler::server::{router::tool::ToolRouter, wrapper::Parameters},
    model::{CallToolResult, ContentBlock, Implementation, ServerCapabilities, ServerConfig},
    schemars, tool, tool_handler, tool_router,
};
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value, json};
use std::collections::HashMap;
use std::fmt::Display;
use std::time::{SystemTime, UNIX_EPOCH};

const USER: &str = "user-00042";

#[derive(Deserialize, schemars::JsonSchema)]
struct Search {
    #[serde(default = "electronics")]
    category: String,
    #[serde(default = "fifty")]
    min_price: f64,
    #[serde(default = "five_hundred")]
    max_price: f64,
    #[serde(default = "ten")]
    limit: f64,
}

fn electronics() -> String {
    "Electronics".into()
}
fn fifty() -> f64 {
    50.0
}
fn five_hundred() -> f64 {
    500.0
}
fn ten() -> f64 {
    10.0
}
fn some_user() -> String {
    USER.into()
}

#[derive(Deserialize, schemars::JsonSchema)]
struct CartOf {
    #[serde(default = "some_user")]
    user_id: String,
}

#[derive(Deserialize, Serialize, schemars::JsonSchema)]
struct Item {
    product_id: Number,
    quantity: Number,
}

#[derive(Deserialize, schemars::JsonSchema)]
struct Checkout {
    #[serde(default = "some_user")]
    user_id: String,
    #[serde(default)]
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Found {
    total_found: u64,
    products: Vec<Product>,
}

#[derive(Deserialize, Serialize)]
struct Product {
    id: u64,
    sku: String,
    name: String,
    price: Number,
    rating: Number,
    #[serde(skip_deserializing)]
    popularity_rank: usize,
}

#[derive(Serialize)]
struct Answer {
    category: String,
    total_found: u64,
    products: Vec<Product>,
    top10_popular_ids: Vec<u64>,
}

#[derive(Deserialize)]
struct Calculated {
    order_id: String,
    total: Number,
}

pub struct Tools {
    redis: MultiplexedConnection,
    http: reqwest::Client,
    url: String,
    tool_router: ToolRouter<Self>,
}

fn failed(error: impl Display) -> ErrorData {
    ErrorData::internal_error(error.to_string(), None)
}

fn as_text(value: &impl Serialize) -> Result<CallToolResult, ErrorData> {
    let text = serde_json::to_string(value).map_err(failed)?;
    Ok(CallToolResult::success(vec![ContentBlock::text(text)]))
}

#[tool_router]
impl Tools {
    pub fn new(redis: MultiplexedConnection, http: reqwest::Client, url: String) -> Self {
        Self {
            redis,
            http,
            url,
            tool_router: Self::tool_router(),
        }
    }

    async fn get_json<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, ErrorData> {
        let answer = self
            .http
            .get(format!("{}{path}", self.url))
            .send()
            .await
            .map_err(failed)?;
        answer.json().await.map_err(failed)
    }

    #[tool(description = "Search products by category and price range, merged with popularity data")]
    async fn search_products(&self, Parameters(asked): Parameters<Search>) -> Result<CallToolResult, ErrorData> {
        let Search {
            category,
            min_price,
            max_price,
            limit,
        } = asked;
        let path =
            format!("/products/search?category={category}&min_price={min_price}&max_price={max_price}&limit={limit}");
        let mut redis = self.redis.clone();
        let popular = async { redis.zrevrange("bench:popular", 0, 9).await.map_err(failed) };
        let (found, popular): (Found, Vec<String>) = tokio::try_join!(self.get_json(&path), popular)?;
        let top: Vec<u64> = popular
            .iter()
            .filter_map(|member| member.split(':').nth(1)?.parse().ok())
            .collect();
        let rank: HashMap<u64, usize> = top.iter().enumerate().map(|(n, &id)| (id, n + 1)).collect();
        let mut products = found.products;
        for product in &mut products {
            product.popularity_rank = rank.get(&product.id).copied().unwrap_or(0);
        }
        as_text(&Answer {
            category,
            total_found: found.total_found,
            products,
            top10_popular_ids: top,
        })
    }

    #[tool(description = "Get user cart details with recent order history")]
    async fn get_user_cart(
        &self,
        Parameters(CartOf { user_id }): Parameters<CartOf>,
    ) -> Result<CallToolResult, ErrorData> {
        let mut redis = self.redis.clone();
        let cart: HashMap<String, String> = redis.hgetall(format!("bench:cart:{user_id}")).await.map_err(failed)?;
        let items: Vec<Value> = match cart.get("items") {
            Some(text) => serde_json::from_str(text).map_err(failed)?,
            None => Vec::new(),
        };
        let first = items.first().and_then(|item| item["product_id"].as_u64()).unwrap_or(1);
        let path = format!("/products/{first}");
        let history = async {
            redis
                .lrange(format!("bench:history:{user_id}"), 0, 4)
                .await
                .map_err(failed)
        };
        let (_, history): (Value, Vec<String>) = tokio::try_join!(self.get_json(&path), history)?;
        let total: Value = cart
            .get("total")
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or(json!(0));
        let history: Vec<Value> = history
            .iter()
            .map(|text| serde_json::from_str(text).unwrap_or(json!({ "raw": text })))
            .collect();
        let count = items.len();
        as_text(&json!({
            "user_id": user_id,
            "cart": { "items": items, "item_count": count, "estimated_total": total },
            "recent_history": history,
        }))
    }

    #[tool(description = "Process checkout: calculate total, update rate limit, record history")]
    async fn checkout(
        &self,
        Parameters(Checkout { user_id, items }): Parameters<Checkout>,
    ) -> Result<CallToolResult, ErrorData> {
        let number: u64 = user_id
            .rsplit('-')
            .next()
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_err(failed)?
            .as_millis() as u64;
        let order = json!({ "order_id": format!("ORD-{user_id}-{now}"), "items": items, "ts": now }).to_string();
        let first = items.first().and_then(|item| item.product_id.as_u64()).unwrap_or(1);
        let body = json!({ "user_id": user_id, "items": items });
        let calculated = async {
            let answer = self
                .http
                .post(format!("{}/cart/calculate", self.url))
                .json(&body)
                .send()
                .await
                .map_err(failed)?;
            answer.json().await.map_err(failed)
        };
        let (mut limits, mut orders, mut popular) = (self.redis.clone(), self.redis.clone(), self.redis.clone());
        let rate = async {
            limits
                .incr(format!("bench:ratelimit:user-{:05}", number % 100), 1)
                .await
                .map_err(failed)
        };
        let pushed = async {
            orders
                .rpush(format!("bench:history:{user_id}"), order)
                .await
                .map_err(failed)
        };
        let counted = async {
            popular
                .zincr("bench:popular", format!("product:{first}"), 1)
                .await
                .map_err(failed)
        };
        let (calculated, rate, _, _): (Calculated, u64, u64, f64) =
            tokio::try_join!(calculated, rate, pushed, counted)?;
        as_text(&json!({
            "order_id": calculated.order_id,
            "user_id": user_id,
            "total": calculated.total,
            "items_count": items.len(),
            "rate_limit_count": rate,
            "status": "confirmed",
        }))
    }
}

#[tool_handler(router = self.tool_router)]
impl ServerHandler for Tools {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("bench", "1.0.0"))
    }
}
