# rollcall: one static binary and the CA certificates.
FROM golang:1.26 AS build
WORKDIR /src
# Most of a build is compiling the standard library. As a layer of its own it is
# done once, for this image and for hello, whose first lines are the same.
RUN CGO_ENABLED=0 go build -trimpath net/http
# Where the default module proxy can't be reached, --build-arg GOPROXY=... names
# another; empty or not given means Go's default.
ARG GOPROXY
# The modules are a layer of their own, so that a change of the program doesn't
# download and compile them anew. Not "go mod download": that also fetches the
# modules of the tools and of other modules' tests. A module that is not named here
# comes with the last step.
COPY go.mod go.sum ./
RUN CGO_ENABLED=0 go build -trimpath \
	github.com/alecthomas/kong \
	github.com/docker/docker/client \
	github.com/prometheus/client_golang/prometheus/promhttp
COPY *.go openapi.json ./
COPY internal/ internal/
COPY dashboard/ dashboard/
# What "rollcall version" says; below the modules so that they stay in the cache.
ARG VERSION
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.release=$VERSION" -o /rollcall .

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /rollcall /rollcall
# A number, because there is no /etc/passwd. This user has to be able to open the
# engine's socket: run with --group-add and the number of the socket's group, or
# with --user 0.
USER 65532:65532
EXPOSE 3000
HEALTHCHECK --interval=2s --timeout=2s --start-period=30s --retries=3 CMD ["/rollcall", "healthcheck"]
ENTRYPOINT ["/rollcall"]
