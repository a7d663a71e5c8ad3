//! Files in Amazon S3.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::Builder;
use router_core::error::Cause;
use tokio::time::timeout;

use crate::failure;
use crate::patience;
use crate::xray_header::XrayHeader;

/// One attempt takes at most this until its answer begins.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
const ATTEMPTS: u32 = 3;

const SERVICE: &str = "S3";

/// Reads files.
#[derive(Clone, Debug)]
pub struct Objects(Client);

impl Objects {
    /// Files in buckets of the region of `config`, with its credentials and endpoint.
    pub fn new(config: &SdkConfig) -> Self {
        let config = patience::with(config, ATTEMPTS, ATTEMPT_TIMEOUT);
        Self(Client::from_conf(Builder::from(&config).interceptor(XrayHeader).build()))
    }

    /// Reads the file `key` in `bucket`, of at most `most_bytes`, within `within`.
    ///
    /// # Errors
    ///
    /// The cause: it is not there, longer, or may not be read, or S3 does not answer.
    pub async fn read(
        &self,
        bucket: &str,
        key: &str,
        most_bytes: usize,
        within: Duration,
    ) -> Result<Vec<u8>, Cause> {
        let reading = async {
            let getting = self.0.get_object().bucket(bucket).key(key).send();
            let mut object = getting.await.map_err(|error| failure::cause(SERVICE, error))?;
            let mut bytes = Vec::new();
            while let Some(piece) = object.body.next().await {
                bytes.extend_from_slice(&piece.map_err(|_| cause("the file broke off"))?);
                if bytes.len() > most_bytes {
                    return Err(cause("the file is too long"));
                }
            }
            Ok(bytes)
        };
        timeout(within, reading).await.unwrap_or_else(|_| Err(cause(failure::NO_ANSWER)))
    }
}

fn cause(what: &'static str) -> Cause {
    Cause::new(what).of_service(SERVICE)
}
