"""A client with grpcio. It prints what it saw as JSON.

    EXPIRED=token NO_KEYS=token REVOKED=token python3 client.py ADDRESS DESCRIPTORS TOKEN CA
"""
import json
import os
import sys

import grpc
from google.protobuf import descriptor_pb2, message_factory

address, descriptors, token, ca = sys.argv[1:]
files = descriptor_pb2.FileDescriptorSet()
with open(descriptors, "rb") as f:
    files.ParseFromString(f.read())
messages = message_factory.GetMessages(files.file)


def message(name):
    return messages["orders.v1." + name]


def method(kind, name, request, response):
    return kind(
        "/orders.v1.Orders/" + name,
        request_serializer=message(request).SerializeToString,
        response_deserializer=message(response).FromString,
    )


def refused(call):
    try:
        call()
    except grpc.RpcError as error:
        trailers = dict(error.trailing_metadata())
        status = messages["google.rpc.Status"].FromString(trailers["grpc-status-details-bin"])
        info = messages["google.rpc.ErrorInfo"]()
        status.details[0].Unpack(info)
        return {
            "code": error.code().value[0],
            "message": error.details(),
            "reason": info.reason,
            "challenge": trailers.get("www-authenticate", ""),
            "retry": "grpc-retry-pushback-ms" in trailers,
        }
    raise SystemExit("the call was not refused")


with open(ca, "rb") as f:
    credentials = grpc.ssl_channel_credentials(f.read())
with grpc.secure_channel(address, credentials) as channel:
    get = method(channel.unary_unary, "GetOrder", "GetOrderRequest", "Order")
    watch = method(channel.unary_stream, "WatchOrders", "WatchOrdersRequest", "Order")
    create = method(channel.unary_unary, "CreateOrder", "Order", "Order")

    def bearer(value):
        return {"metadata": [("authorization", "Bearer " + value)], "timeout": 20}

    authorized = bearer(token)
    expired, no_keys, revoked = (bearer(os.environ[name]) for name in ("EXPIRED", "NO_KEYS", "REVOKED"))
    order = message("GetOrderRequest")(id="7")
    endless = message("WatchOrdersRequest")(count=-1)
    three = message("WatchOrdersRequest")(count=3)
    print(json.dumps({
        "item": get(message("GetOrderRequest")(id="7"), **authorized).item,
        "messages": len(list(watch(three, **authorized))),
        "missing": refused(lambda: get(message("GetOrderRequest")(), timeout=20)),
        "missingStream": refused(lambda: list(watch(three, timeout=20))),
        "scope": refused(lambda: create(message("Order")(), **authorized)),
        "expired": refused(lambda: get(order, **expired)),
        "expiredStream": refused(lambda: list(watch(three, **expired))),
        "noKeys": refused(lambda: get(order, **no_keys)),
        "ended": refused(lambda: list(watch(endless, **revoked))),
    }))
