//! The supervisor's action group as an AWS Lambda function.
//!
//! The function reads an event, has `router-core` answer it over the AWS adapters of `router-aws`,
//! and gives the reply in the event's own form. `router-lambda` does what all functions do.

use std::process::ExitCode;
use std::time::Duration;

use router_aws::AwsPorts;
use router_aws::policy::CurrentPolicy;
use router_aws::settings::routing::{self, PolicySettings};
use router_aws::settings::{
    EscalationSettings, GatewaySettings, Lookup, MetricsSettings, Mistakes, TableSettings,
};
use router_core::Handler;
use router_core::handler::Handled;
use router_core::policy::Mistake;
use router_core::retry::RetryBudget;
use router_core::views::spans;
use router_core::wire::event::Event;
use router_lambda::{Diagnostic, Environment, Function, Invocation, Reply, SdkConfig, Streaming};
use shipped_policy::SHIPPED;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    router_lambda::run::<SupervisorRouter>(env!("CARGO_CRATE_NAME")).await
}

/// What the function is set up with.
struct Settings {
    table: TableSettings,
    metrics: MetricsSettings,
    escalations: EscalationSettings,
    gateway: GatewaySettings,
    policy: PolicySettings,
}

/// What the function keeps from one invocation to the next.
struct SupervisorRouter {
    gateway: GatewaySettings,
    policy: CurrentPolicy,
    ports: AwsPorts,
    retries: RetryBudget,
}

impl Function for SupervisorRouter {
    type Settings = Settings;

    fn settings(var: Lookup<'_>, mistakes: &mut Mistakes) -> Option<Settings> {
        let read_file = |path: &str| std::fs::read_to_string(path);
        let table = mistakes.take(TableSettings::from_vars(var));
        let metrics = mistakes.take(MetricsSettings::from_vars(var));
        let escalations = mistakes.take(EscalationSettings::from_vars(var));
        let gateway = mistakes.take(GatewaySettings::from_vars(var));
        let policy = mistakes.take(routing::policy(var, read_file, SHIPPED));
        Some(Settings {
            table: table?,
            metrics: metrics?,
            escalations: escalations?,
            gateway: gateway?,
            policy: policy?,
        })
    }

    async fn start(settings: Settings, config: &SdkConfig) -> Result<Self, Vec<Mistake>> {
        let Settings { table, metrics, escalations, gateway, policy } = settings;
        let ports = AwsPorts::new(config, &table, metrics, escalations);
        let policy = CurrentPolicy::load(policy, &ports).await?;
        Ok(Self { gateway, policy, ports, retries: RetryBudget::default() })
    }

    async fn answer(
        &self,
        invocation: &Invocation,
        environment: &Environment,
        _streaming: &Streaming,
    ) -> Result<Reply, Diagnostic> {
        let context = invocation.client_context.as_ref().map(|context| context.as_bytes());
        let event = Event::read(&invocation.payload, context, self.gateway.injects_session);
        let event = event.map_err(|unknown| Diagnostic {
            error_type: "UnknownEventForm".to_owned(),
            error_message: unknown.to_string(),
        })?;
        let session = event.caller.as_ref().ok().map(|caller| &caller.root);
        let is_traced = environment.wants_trace(invocation, session);
        let ports = self.ports.of_invocation();
        let policy = self.policy.get();
        let handler = Handler { policy: &policy, ports: &ports, retries: &self.retries };
        let request = environment.request(invocation, is_traced);
        // Boxed, since the compiler cannot lay out futures that are nested as deep as the SDK's.
        let Handled { reply, entries } = Box::pin(handler.handle(&event, request)).await;
        if is_traced {
            environment
                .keep_trace(spans::of(&entries, session, &invocation.request_id), invocation);
        }
        Ok(reply.render(&event.form).into())
    }

    async fn after_reply(&self, within: Duration) {
        self.policy.look_again(&self.ports, within).await;
    }
}
