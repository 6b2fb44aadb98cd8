# The image of the gateway; `--target bench` makes that of the load test.
#
#   docker build -t signal-gateway:0.1.0 --build-arg VERSION=0.1.0 --build-arg REVISION="$(git rev-parse HEAD)" .
#
# Debian and not Alpine: uWebSockets.js has no binary for musl. Every stage has the same Node.js, since npm picks the binary by
# the major version that installs.
ARG NODE_IMAGE=node:22-bookworm-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY tsconfig.json tsconfig.build.json vite.config.ts ./
COPY src ./src
RUN npm run build

FROM ${NODE_IMAGE} AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev

FROM build AS bench
RUN apt-get update \
  && apt-get install -y --no-install-recommends redis-server \
  && rm -rf /var/lib/apt/lists/*
COPY test/support ./test/support
COPY bench ./bench
ENV HOME=/tmp npm_config_update_notifier=false
# dist and bench/out are written by a run: mount something there when the root file system is read-only.
RUN mkdir -p bench/out && chown -R 10001:10001 dist bench/out
USER 10001:10001
LABEL org.opencontainers.image.title="signal-gateway-bench" \
  org.opencontainers.image.description="The load test of signal-gateway." \
  org.opencontainers.image.licenses="Apache-2.0"
ENTRYPOINT ["npm", "run", "--silent", "bench", "--"]

FROM ${NODE_IMAGE} AS gateway
WORKDIR /app
# The second: glibc gives what large messages took back to the system as soon as they are gone. Otherwise it keeps that, and the
# pod counts as short of memory.
ENV NODE_ENV=production MALLOC_MMAP_THRESHOLD_=131072
COPY package.json LICENSE ./
COPY --from=dependencies /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
# Nothing here belongs to this user, so the process cannot change what it runs. By number, so that Kubernetes sees that it
# is not root.
USER 10001:10001
EXPOSE 3000 3001
# Only checks that the event loop runs, like the liveness probe of Kubernetes: /readyz is for load balancers.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.ADMIN_PORT || 3001}/healthz`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="signal-gateway" \
  org.opencontainers.image.description="A Socket.IO gateway on uWebSockets.js for trading signals." \
  org.opencontainers.image.licenses="Apache-2.0" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}"
# Node.js itself is the first process: it gets SIGTERM and drains.
ENTRYPOINT ["node", "dist/main.js"]
