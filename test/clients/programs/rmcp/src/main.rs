//! A client with rmcp; the commands and events are those of ../../README.md.
mod wire;

use std::sync::Arc;

use rmcp::model::{
    CallToolRequestParams, ClientCapabilities, ClientConfig, ElicitRequestParams, ElicitResult, ElicitationAction,
    ElicitationCapability, Implementation, ProtocolVersion,
};
use rmcp::service::{NotificationContext, RequestContext, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::{ClientHandler, ClientLifecycleMode, ClientServiceExt, ErrorData, RoleClient};
use serde_json::json;
use wire::{Actor, Command, tell};

struct User(Arc<Actor>);

impl ClientHandler for User {
    fn get_info(&self) -> ClientConfig {
        let mut capabilities = ClientCapabilities::default();
        capabilities.elicitation = Some(ElicitationCapability::default());
        ClientConfig::new(capabilities, Implementation::new("rmcp", "1.0.0"))
    }

    async fn create_elicitation(
        &self,
        _request: ElicitRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        self.0.ask().await;
        Ok(ElicitResult::new(ElicitationAction::Accept).with_content(json!({ "colour": "blue" })))
    }

    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        tell("notified", json!({ "client": self.0.name, "method": "notifications/tools/list_changed" }));
    }
}

async fn connect(actor: Arc<Actor>, first: Command) -> Result<RunningService<RoleClient, User>, String> {
    let transport = StreamableHttpClientTransport::from_uri(first.url);
    let lifecycle = match first.era.as_str() {
        "2026" => ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] },
        _ => ClientLifecycleMode::Initialize,
    };
    User(actor).serve_with_lifecycle(transport, lifecycle).await.map_err(|error| error.to_string())
}

async fn live(actor: Arc<Actor>, first: Command) {
    let client = actor.name.clone();
    let connection = match connect(actor.clone(), first).await {
        Ok(connection) => connection,
        Err(error) => return tell("refused", json!({ "client": client, "error": error })),
    };
    let version = connection.peer_info().map(|info| info.protocol_version.to_string());
    tell("connected", json!({ "client": client, "version": version }));
    let connection = Arc::new(connection);
    while let Some(next) = actor.next().await {
        if next.action == "close" {
            connection.cancellation_token().cancel();
            return tell("closed", json!({ "client": client }));
        }
        let (client, connection) = (client.clone(), connection.clone());
        tokio::spawn(async move {
            let params = CallToolRequestParams::new(next.tool).with_arguments(next.args);
            match connection.call_tool(params).await {
                Ok(result) => {
                    let texts: Vec<_> = result.content.iter().filter_map(|block| block.as_text()).collect();
                    let text = texts.iter().map(|each| each.text.as_str()).collect::<Vec<_>>().join(" ");
                    let (start, length) = (text.chars().take(200).collect::<String>(), text.len());
                    let is_error = result.is_error.unwrap_or(false);
                    tell(
                        "answered",
                        json!({ "client": client, "call": next.call, "text": start, "length": length, "isError": is_error }),
                    );
                }
                Err(error) => {
                    tell("failed", json!({ "client": client, "call": next.call, "error": error.to_string() }))
                }
            }
        });
    }
}

#[tokio::main]
async fn main() {
    wire::obey(|actor, first| tokio::spawn(live(actor, first))).await;
}
