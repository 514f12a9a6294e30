"""What workers of Ray do in tests before anything else."""

from grpc.aio._server import Server


def stay_on_loopback():
    """Let gRPC's servers listen on 127.0.0.1 where Ray says all addresses, and has no option."""
    add = Server.add_insecure_port
    Server.add_insecure_port = lambda self, place: add(self, place.replace("[::]", "127.0.0.1"))
