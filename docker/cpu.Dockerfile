# adagen-rt on a CPU:
#   docker build -f docker/cpu.Dockerfile -t adagen-rt .
#   docker run --rm -p 127.0.0.1:8000:8000 -e ADAGEN_TOKEN adagen-rt
FROM python:3.12-slim-bookworm AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++=4:12.* \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN python -m venv /opt/adagen \
    && /opt/adagen/bin/pip install --no-cache-dir ".[cpu,bulk,serve,text,yaml]"

FROM python:3.12-slim-bookworm
COPY --from=build /opt/adagen /opt/adagen
ENV PATH=/opt/adagen/bin:$PATH
RUN useradd --create-home --uid 1000 adagen
USER 1000
WORKDIR /home/adagen
EXPOSE 8000
ENTRYPOINT ["adagen-rt"]
# A container's loopback is its own: this has to listen beyond it. Publish the port on loopback, or
# set ADAGEN_TOKEN.
CMD ["serve", "fashion-maskgit", "fashion-dit", "--host", "0.0.0.0"]
