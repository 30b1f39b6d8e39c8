//! Requests to the owner's URLs.

use std::time::Duration;

use ureq::{Agent, Proxy};

use crate::domain::Secret;

/// How long a request may take.
const LIMIT: Duration = Duration::from_secs(10);

/// A URL of the owner's, which may hold a key.
#[derive(Clone, Debug)]
pub struct WebHook {
    url: Secret,
    /// The proxy, or why it cannot be used.
    proxy: Result<Option<Proxy>, String>,
}

impl WebHook {
    pub fn new(url: Secret, proxy: Result<Option<Proxy>, String>) -> Self {
        Self { url, proxy }
    }

    /// Posts a notice in the form of ntfy (<https://docs.ntfy.sh/publish/>): the text is the body.
    pub async fn post(&self, title: String, tag: &'static str, text: String) -> Result<(), String> {
        self.call(move |agent, url| {
            let request = agent.post(url).header("title", &title).header("tags", tag);
            request.header("content-type", "text/plain; charset=utf-8").send(text.as_bytes())
        })
        .await
    }

    /// Asks for the URL, in the form of Healthchecks and Uptime Kuma.
    pub async fn get(&self) -> Result<(), String> {
        self.call(|agent, url| agent.get(url).call()).await
    }

    /// The error says nothing of the URL.
    async fn call(
        &self,
        request: impl FnOnce(&Agent, &str) -> Result<ureq::http::Response<ureq::Body>, ureq::Error>
        + Send
        + 'static,
    ) -> Result<(), String> {
        let Self { url, proxy } = self.clone();
        let proxy = proxy?;
        let call = move || {
            let agent = Agent::config_builder()
                .http_status_as_error(false)
                .proxy(proxy)
                // A POST that is sent elsewhere would become a GET.
                .max_redirects(0)
                .max_redirects_will_error(false)
                .user_agent(concat!("stenogram/", env!("CARGO_PKG_VERSION")))
                .timeout_global(Some(LIMIT))
                .build()
                .new_agent();
            match request(&agent, url.expose()) {
                Ok(response) if response.status().is_success() => Ok(()),
                Ok(response) => Err(format!("the server answered {}", response.status())),
                Err(error) => Err(error.to_string().replace(url.expose(), "(hidden)")),
            }
        };
        tokio::task::spawn_blocking(call).await.unwrap_or_else(|error| Err(error.to_string()))
    }
}
