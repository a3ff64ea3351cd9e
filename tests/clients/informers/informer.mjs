// An informer of @kubernetes/client-node: what it sees of a namespace's ConfigMaps, a JSON array on each line.
//   node informer.mjs NODE_MODULES NAMESPACE
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';

const [modules, namespace] = process.argv.slice(2);
const k8s = await import(pathToFileURL(join(modules, '@kubernetes', 'client-node', 'dist', 'index.js')));
const config = new k8s.KubeConfig();
config.loadFromDefault();
const core = config.makeApiClient(k8s.CoreV1Api);
const path = `/api/v1/namespaces/${namespace}/configmaps`;
const informer = k8s.makeInformer(config, path, () => core.listNamespacedConfigMap({ namespace }));
const say = (...words) => console.log(JSON.stringify(words));

for (const event of [k8s.ADD, k8s.UPDATE, k8s.DELETE]) {
    informer.on(event, (found) => say(event, found.metadata.name, found.data ?? {}));
}
informer.on(k8s.CONNECT, () => say('connected'));
informer.on(k8s.ERROR, async (error) => {  // the library leaves it to its user when to try again
    console.error(error);
    await pause(200);
    await informer.start();
});
process.on('SIGTERM', async () => {
    say('has', ...informer.list(namespace).map((found) => found.metadata.name).sort());
    await informer.stop();
    process.exit(0);
});
await informer.start();
