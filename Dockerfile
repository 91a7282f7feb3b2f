# The ready-made server. Its image holds build/ and the packages that a running server imports, each in
# the version of package-lock.json.

FROM node:22-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc prisma.config.ts openapi.json ./
COPY scripts ./scripts
COPY prisma ./prisma
# No package runs a script of its own here; ours generates src/generated.
RUN npm ci --ignore-scripts --no-audit --no-fund && npm run prepare
COPY tsconfig.json tsconfig.server.json ./
COPY src ./src
COPY server ./server
COPY web ./web
RUN npm run build:server
# The plugin leaves Fastify and the SDKs to its host, and the server is such a host: what it imports becomes a
# dependency here. Then everything else goes: tools, and what packages could use but do not need (Prisma's CLI, TypeScript).
RUN node scripts/server-dependencies.mjs && \
    npm prune --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund

FROM node:22-slim
# All addresses of the container: `docker run -p` and Kubernetes reach no other. Loopback would answer nobody.
ENV NODE_ENV=production HOST=0.0.0.0
WORKDIR /app
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/build ./
# Root owns the files, and the server runs as somebody who cannot change them.
USER node
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT || 3000}/health/ready`).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "server/main.js"]
