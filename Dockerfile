FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
ARG VERSION=dev
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /out/sluice ./cmd/sluice

# It has the certificates that https needs, and the wget of the simulator's health check.
FROM alpine:3.22
COPY --from=build /out/sluice /usr/local/bin/sluice
# The number, so that Kubernetes sees that it is not root.
USER 65534:65534
WORKDIR /tmp
ENTRYPOINT ["sluice"]
CMD ["run"]
