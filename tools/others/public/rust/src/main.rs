//! The same tools on the Rust SDK, as its README sets a server up: one service for all sessions on a router of axum,
//! one connection to Redis, and a keep-alive pool for HTTP. Prints its port, answers each line of its input, and ends
//! with its input.

mod tools;

use rmcp::transport::streamable_http_server::{StreamableHttpService, session::local::LocalSessionManager};
use std::{env::var, sync::Arc};
use tokio::io::{AsyncBufReadExt, BufReader};
use tools::Tools;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let redis = redis::Client::open(var("PUBLIC_REDIS")?)?
        .get_multiplexed_async_connection()
        .await?;
    let tools = Arc::new(Tools::new(redis, reqwest::Client::new(), var("PUBLIC_API")?));
    let service = StreamableHttpService::new(
        move || Ok(Arc::clone(&tools)),
        LocalSessionManager::default().into(),
        Default::default(),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?.port());
    tokio::spawn(async {
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        while let Ok(Some(_)) = lines.next_line().await {
            println!("nothing to collect");
        }
        std::process::exit(0);
    });
    axum::serve(listener, axum::Router::new().nest_service("/mcp", service)).await?;
    Ok(())
}
