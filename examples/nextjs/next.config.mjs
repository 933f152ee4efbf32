// `next build` writes it into the build, so it is to be set then, too.
const hub = process.env.STATUSHUB_URL ?? "http://localhost:8000";

export default {
  // Compressing would hold back a stream until there is enough of it.
  compress: false,
  rewrites: async () => [{ source: "/api/:path*", destination: `${hub}/api/:path*` }],
};
