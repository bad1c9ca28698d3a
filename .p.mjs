import { readFileSync } from 'node:fs';
import ort from 'onnxruntime-node';
const b = readFileSync('/work/shared/models/text/tok512.bin');
let off = 4; const vocab = [], scores = [];
while (off < b.length) { scores.push(b.readFloatLE(off)); const n = b.readInt32LE(off+4); vocab.push(b.subarray(off+8, off+8+n).toString('latin1')); off += 8+n; }
const id = new Map(vocab.map((v,i)=>[v,i]));
const cache=new Map();
function encode(text, prefix, non) { const key=[text,prefix,non].join('|'); if(cache.has(key)) return cache.get(key);
  const t = [];
  const add = (ch) => { const u = Buffer.from(ch,'utf8').toString('latin1'); if (id.has(u)) t.push(id.get(u)); else if(non==='bytes') for (const c of Buffer.from(ch,'utf8')) t.push(c+3); else if (non==='unk') t.push(0); else if(non==='unkbytes') for (const c of Buffer.from(ch,'utf8')) t.push(0); };
  if (prefix) add(' ');
  for (const ch of text) add(ch);
  for (;;) { let best=-1e10, bi=-1, bid=-1;
    for (let i=0;i+1<t.length;i++){ const m=id.get(vocab[t[i]]+vocab[t[i+1]]); if(m!==undefined&&scores[m]>best){best=scores[m];bi=i;bid=m;} }
    if(bi<0)break; t.splice(bi,2,bid); }
  cache.set(key,t); return t; }
const raw0 = readFileSync('/work/shared/data/text/tinystories_sample.txt','utf8');
const raws={plain:raw0, quotes:raw0.replace(/[“”]/g,'"').replace(/[’‘]/g,"'"), latin:Buffer.from(raw0,'utf8').toString('latin1')};
const s = await ort.InferenceSession.create('/work/shared/models/text/stories260K.onnx');
const done=new Map();
async function ppl(seqs){const k=JSON.stringify(seqs); if(done.has(k)) return done.get(k); let nll=0,n=0; for(const ids of seqs){const {logits}=await s.run({input_ids:new ort.Tensor('int64',BigInt64Array.from(ids,BigInt),[1,ids.length])});
 for(let i=0;i+1<ids.length;i++){const row=logits.data.subarray(i*512,(i+1)*512);let m=-1e9;for(const v of row)m=Math.max(m,v);let z=0;for(const v of row)z+=Math.exp(v-m);nll+=Math.log(z)+m-row[ids[i+1]];n++;}} const r=[Math.exp(nll/n),n]; done.set(k,r); return r;}
for (const [rn,raw] of Object.entries(raws)) {
 const units={};
 const S=raw.split('<|endoftext|>');
 for (const [jn,j] of Object.entries({sp:' ',none:'',nl:'\n',dsp:'  '})) {
  units['story strip '+jn]=S.map(x=>x.trim().split('\n').map(l=>l.trim()).filter(Boolean).join(j)).filter(Boolean);
  units['story raw '+jn]=S.map(x=>x.replace(/\n/g,j)).filter(x=>x.trim());
  units['story lstrip '+jn]=S.map(x=>x.trimStart().replace(/\n/g,j)).filter(x=>x.trim());
  units['whole '+jn]=[raw.replace(/\n/g,j)];
 }
 units['lines']=raw.split('\n').filter(x=>x.trim()&&x.trim()!=='<|endoftext|>');
 units['lines sep']=raw.split('\n').filter(x=>x.trim());
 units['lines nl']=raw.split(/(?<=\n)/).filter(x=>x.trim()&&x.trim()!=='<|endoftext|>');
 for (const [un,list] of Object.entries(units)) for (const prefix of [true,false]) for (const non of ['bytes','unk','skip','unkbytes']) for (const eos of [0,1,2,3]) for (const bos of [1,0]) for (const max of [512]) {
  const seqs=list.map(x=>[...(bos?[1]:[]),...encode(x,prefix,non),...(eos===1?[2]:eos===2?[1]:eos===3?[1,2]:[])].slice(0,max));
  const tok=seqs.reduce((a,x)=>a+x.length,0), tg=tok-seqs.length;
  if (Math.abs(tok-1794)<=8||Math.abs(tg-1794)<=8) { const [p]=await ppl(seqs); if(Math.abs(p-4.59)<0.02) console.log(p.toFixed(4),rn,un,prefix,non,'eos',eos,'bos',bos,max,tok,tg); }
 }
}
console.log('end');
