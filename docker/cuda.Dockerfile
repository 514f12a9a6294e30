# adagen-rt on an NVIDIA GPU:
#   docker build -f docker/cuda.Dockerfile -t adagen-rt-cuda .
#   docker run --rm --gpus all -v "$PWD:/work" adagen-rt-cuda \
#       generate --engine fashion-dit --backend torch --out /work/images.png
FROM nvidia/cuda:13.0.1-devel-ubuntu24.04 AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++=4:13.* python3-venv=3.12.* python3-dev=3.12.* \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# With the kernels compiled, none is at its first use.
RUN python3 -m venv /opt/adagen \
    && /opt/adagen/bin/pip install --no-cache-dir --config-settings=cmake.define.ADAGEN_CUDA=ON \
        ".[cpu,bulk,serve,text,yaml,torch-cuda]"

FROM nvidia/cuda:13.0.1-base-ubuntu24.04
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3=3.12.* \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/adagen /opt/adagen
ENV PATH=/opt/adagen/bin:$PATH
RUN useradd --create-home --uid 1001 adagen
USER 1001
WORKDIR /home/adagen
EXPOSE 8000
ENTRYPOINT ["adagen-rt"]
CMD ["doctor"]
