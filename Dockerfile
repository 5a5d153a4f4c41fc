# mcpx as a static binary in an empty image, for `mcpx hub` in front of servers with a url. Servers with a command run
# in the same container: for those, copy /mcpx into an image that has what they need (Node, Python, …).
#
#   docker build -t mcpx .
#   docker run --rm -p 127.0.0.1:8080:8080 -v "$PWD/config:/config:ro" -v mcpx-state:/state mcpx
#
# /state holds what must outlive a container: the audit log, and the store and key of a hub that wrappers belong to. Its
# tokens are made inside: docker exec CONTAINER /mcpx hub token create --name bob
#
# For the dashboard, have it listen beyond the container (hub --admin :8081, published as -p 127.0.0.1:8081:8081); then
# docker exec CONTAINER /mcpx dashboard --print gives a link.
#
# Mount the folder of mcpx.yaml, not the file: only so is a changed file seen (--watch). Pins (mcpx.lock) are kept
# beside the file: where tool integrity is on, the folder must be writable for user 65532.

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ENV CGO_ENABLED=0
RUN go build -trimpath -ldflags='-s -w' -o /out/mcpx ./cmd/mcpx \
 && go build -trimpath -ldflags='-s -w' -o /out/mock-mcp ./examples/mock-mcp \
 && mkdir -p /out/state /out/config

# The server of the demo: see compose.yaml.
FROM scratch AS mock
COPY --from=build /out/mock-mcp /mock-mcp
USER 65532:65532
EXPOSE 3001
ENTRYPOINT ["/mock-mcp"]
CMD ["serve", ":3001"]

FROM scratch AS mcpx
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build --chown=65532:65532 /out/state /state
COPY --from=build --chown=65532:65532 /out/config /config
COPY --from=build /out/mcpx /mcpx
ENV MCPX_CONFIG=/config/mcpx.yaml MCPX_STATE_DIR=/state
USER 65532:65532
VOLUME ["/state"]
EXPOSE 8080 8081
HEALTHCHECK --interval=15s --timeout=5s --start-period=5s CMD ["/mcpx", "health"]
ENTRYPOINT ["/mcpx"]
CMD ["hub", "--watch"]
