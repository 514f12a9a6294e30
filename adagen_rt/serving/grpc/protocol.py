"""The messages and calls of KServe's gRPC service and Triton's extensions, as tables.

A field is ``name=number type``; a star makes a list of it, and braces a map from strings. Nested
messages have their parent's name in front.
"""

from __future__ import annotations

PACKAGE = "inference"
SERVICE = "inference.GRPCInferenceService"
HEALTH_PACKAGE = "grpc.health.v1"
HEALTH_SERVICE = "grpc.health.v1.Health"

MODEL = "name=1 string, version=2 string"
MESSAGES = {
    "ServerLiveRequest": "",
    "ServerLiveResponse": "live=1 bool",
    "ServerReadyRequest": "",
    "ServerReadyResponse": "ready=1 bool",
    "ModelReadyRequest": MODEL,
    "ModelReadyResponse": "ready=1 bool",
    "ServerMetadataRequest": "",
    "ServerMetadataResponse": "name=1 string, version=2 string, extensions=3 string*",
    "ModelMetadataRequest": MODEL,
    "ModelMetadataResponse": "name=1 string, versions=2 string*, platform=3 string, "
    "inputs=4 ModelMetadataResponse.TensorMetadata*, "
    "outputs=5 ModelMetadataResponse.TensorMetadata*",
    "ModelMetadataResponse.TensorMetadata": "name=1 string, datatype=2 string, shape=3 int64*",
    "InferParameter": "bool_param=1 bool, int64_param=2 int64, string_param=3 string, "
    "double_param=4 double, uint64_param=5 uint64",
    "InferTensorContents": "bool_contents=1 bool*, int_contents=2 int32*, int64_contents=3 int64*, "
    "uint_contents=4 uint32*, uint64_contents=5 uint64*, fp32_contents=6 float*, "
    "fp64_contents=7 double*, bytes_contents=8 bytes*",
    "ModelInferRequest": "model_name=1 string, model_version=2 string, id=3 string, "
    "parameters=4 {InferParameter}, inputs=5 ModelInferRequest.InferInputTensor*, "
    "outputs=6 ModelInferRequest.InferRequestedOutputTensor*, raw_input_contents=7 bytes*",
    "ModelInferRequest.InferInputTensor": "name=1 string, datatype=2 string, shape=3 int64*, "
    "parameters=4 {InferParameter}, contents=5 InferTensorContents",
    "ModelInferRequest.InferRequestedOutputTensor": "name=1 string, parameters=2 {InferParameter}",
    "ModelInferResponse": "model_name=1 string, model_version=2 string, id=3 string, "
    "parameters=4 {InferParameter}, outputs=5 ModelInferResponse.InferOutputTensor*, "
    "raw_output_contents=6 bytes*",
    "ModelInferResponse.InferOutputTensor": "name=1 string, datatype=2 string, shape=3 int64*, "
    "parameters=4 {InferParameter}, contents=5 InferTensorContents",
    "ModelStreamInferResponse": "error_message=1 string, infer_response=2 ModelInferResponse",
    "ModelConfigRequest": MODEL,
    "ModelConfigResponse": "config=1 ModelConfig",
    "ModelConfig": "name=1 string, platform=2 string, version_policy=3 ModelVersionPolicy, "
    "max_batch_size=4 int32, input=5 ModelInput*, output=6 ModelOutput*, "
    "parameters=14 {ModelParameter}, backend=17 string, "
    "model_transaction_policy=19 ModelTransactionPolicy",
    "ModelInput": "name=1 string, data_type=2 DataType, dims=4 int64*, optional=8 bool",
    "ModelOutput": "name=1 string, data_type=2 DataType, dims=3 int64*",
    "ModelVersionPolicy": "latest=1 ModelVersionPolicy.Latest",
    "ModelVersionPolicy.Latest": "num_versions=1 uint32",
    "ModelTransactionPolicy": "decoupled=1 bool",
    "ModelParameter": "string_value=1 string",
    "ModelStatisticsRequest": MODEL,
    "ModelStatisticsResponse": "model_stats=1 ModelStatistics*",
    "ModelStatistics": "name=1 string, version=2 string, last_inference=3 uint64, "
    "inference_count=4 uint64, execution_count=5 uint64, inference_stats=6 InferStatistics, "
    "batch_stats=7 InferBatchStatistics*",
    "InferStatistics": "success=1 StatisticDuration, fail=2 StatisticDuration, "
    "queue=3 StatisticDuration, compute_input=4 StatisticDuration, "
    "compute_infer=5 StatisticDuration, compute_output=6 StatisticDuration, "
    "cache_hit=7 StatisticDuration, cache_miss=8 StatisticDuration",
    "InferBatchStatistics": "batch_size=1 uint64, compute_input=2 StatisticDuration, "
    "compute_infer=3 StatisticDuration, compute_output=4 StatisticDuration",
    "StatisticDuration": "count=1 uint64, ns=2 uint64",
    "ModelRepositoryParameter": "bool_param=1 bool, int64_param=2 int64, string_param=3 string, "
    "bytes_param=4 bytes",
    "RepositoryIndexRequest": "repository_name=1 string, ready=2 bool",
    "RepositoryIndexResponse": "models=1 RepositoryIndexResponse.ModelIndex*",
    "RepositoryIndexResponse.ModelIndex": "name=1 string, version=2 string, state=3 string, "
    "reason=4 string",
    "RepositoryModelLoadRequest": "repository_name=1 string, model_name=2 string, "
    "parameters=3 {ModelRepositoryParameter}",
    "RepositoryModelLoadResponse": "",
    "RepositoryModelUnloadRequest": "repository_name=1 string, model_name=2 string, "
    "parameters=3 {ModelRepositoryParameter}",
    "RepositoryModelUnloadResponse": "",
    "TraceSettingRequest": "settings=1 {TraceSettingRequest.SettingValue}, model_name=2 string",
    "TraceSettingRequest.SettingValue": "value=1 string*",
    "TraceSettingResponse": "settings=1 {TraceSettingResponse.SettingValue}",
    "TraceSettingResponse.SettingValue": "value=1 string*",
    "LogSettingsRequest": "settings=1 {LogSettingsRequest.SettingValue}",
    "LogSettingsRequest.SettingValue": "bool_param=1 bool, uint32_param=2 uint32, "
    "string_param=3 string",
    "LogSettingsResponse": "settings=1 {LogSettingsResponse.SettingValue}",
    "LogSettingsResponse.SettingValue": "bool_param=1 bool, uint32_param=2 uint32, "
    "string_param=3 string",
}
#: Messages that have one of their fields at a time, and the name of that choice.
CHOICES = {
    "InferParameter": "parameter_choice",
    "ModelRepositoryParameter": "parameter_choice",
    "LogSettingsRequest.SettingValue": "parameter_choice",
    "LogSettingsResponse.SettingValue": "parameter_choice",
}
#: Enumerations, whose values count up from 0.
ENUMS = {
    "DataType": "TYPE_INVALID TYPE_BOOL TYPE_UINT8 TYPE_UINT16 TYPE_UINT32 TYPE_UINT64 TYPE_INT8 "
    "TYPE_INT16 TYPE_INT32 TYPE_INT64 TYPE_FP16 TYPE_FP32 TYPE_FP64 TYPE_STRING TYPE_BF16",
}

#: The health service that probes of gRPC ask.
HEALTH_MESSAGES = {
    "HealthCheckRequest": "service=1 string",
    "HealthCheckResponse": "status=1 ServingStatus",
}
HEALTH_ENUMS = {"ServingStatus": "UNKNOWN SERVING NOT_SERVING SERVICE_UNKNOWN"}
