# One static binary on an empty base: no shell, no package manager, no root.
#   docker build -t homeport .
#   docker run -p 127.0.0.1:8787:8787 -v homeport-data:/data -v "$PWD/conf:/etc/homeport:ro" --env-file env homeport
# conf/homeport.yaml must say `listen: 0.0.0.0:8787` and `data: /data` (docs/guide/operate.md).
FROM golang:1.27.2 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN make build && mkdir -p /root-fs/data /root-fs/tmp && chmod 0700 /root-fs/data && chmod 1777 /root-fs/tmp

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build --chown=65532:65532 /root-fs/ /
COPY --from=build /src/bin/homeport /homeport
COPY --from=build /src/LICENSE /src/NOTICE /
USER 65532:65532
WORKDIR /data
VOLUME /data
EXPOSE 8787
STOPSIGNAL SIGTERM
ENTRYPOINT ["/homeport"]
CMD ["serve", "--config", "/etc/homeport/homeport.yaml"]
