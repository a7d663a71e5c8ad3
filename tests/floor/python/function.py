"""The plain function in Python that the router is compared with: one InvokeAgent, one
PutMetricData, no budget."""

import json
import os
import time

import boto3
from botocore.config import Config

CONFIG = Config(retries={"total_max_attempts": 1})
AGENTS = json.loads(os.environ["SPECIALIST_AGENTS"])
bedrock = boto3.client("bedrock-agent-runtime", config=CONFIG)
cloudwatch = boto3.client("cloudwatch", config=CONFIG)


def handler(event, context):
    arguments = {one["name"]: one["value"] for one in event["parameters"]}
    specialist = arguments["specialist_type"]
    agent, alias = AGENTS[specialist].split("/")
    began = time.monotonic()
    invoked = bedrock.invoke_agent(agentId=agent, agentAliasId=alias, sessionId=event["sessionId"],
                                   inputText=arguments["request"], enableTrace=True)
    answer, tokens = b"", 0
    for part in invoked["completion"]:
        answer += part.get("chunk", {}).get("bytes", b"")
        trace = part.get("trace", {}).get("trace", {}).get("orchestrationTrace", {})
        usage = trace.get("modelInvocationOutput", {}).get("metadata", {}).get("usage", {})
        tokens += usage.get("inputTokens", 0) + usage.get("outputTokens", 0)
    latency = (time.monotonic() - began) * 1000
    dimensions = [{"Name": "Specialist", "Value": specialist}]
    cloudwatch.put_metric_data(Namespace="Python", MetricData=[
        {"MetricName": name, "Unit": unit, "Value": value, "Dimensions": dimensions}
        for name, unit, value in [("Invocations", "Count", 1), ("Tokens", "Count", tokens),
                                  ("Latency", "Milliseconds", latency)]])
    body = json.dumps({"status": "answered", "answer": answer.decode()})
    return {"messageVersion": "1.0", "response": {
        "actionGroup": event["actionGroup"], "function": event["function"],
        "functionResponse": {"responseBody": {"TEXT": {"body": body}}}}}
