// hub-clients.mjs find|download OWNER/REPO FILE: what Hugging Face's own client
// for JavaScript makes of the cache in $HF_HOME, as JSON. See hub-clients.sh.
import { downloadFileToCacheDir, scanCacheDir } from "@huggingface/hub";

console.debug = () => {}; // it tells of downloads on stdout
const [, , command, repo, file] = process.argv;
const cacheDir = process.env.HF_HOME + "/hub";
const path = await downloadFileToCacheDir({ repo, path: file, hubUrl: process.env.HF_ENDPOINT, cacheDir });
const answer = { path };
if (command === "find") {
	for (const r of (await scanCacheDir(cacheDir)).repos) {
		for (const revision of r.revisions) {
			for (const f of revision.files) {
				if (r.id.name === repo && f.path === path) Object.assign(answer, { blob: f.blob.path, ref: revision.refs[0] });
			}
		}
	}
}
console.log(JSON.stringify(answer));
