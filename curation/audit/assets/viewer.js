// NiiVue in the place of the pre-rendered slices: same planes, same crosshair, the voxels in the browser. It stays
// away where it is not installed or WebGL 2 is absent; a large volume is loaded when asked for, since it takes a while.

const PART_BYTES = 8 << 20, LANES = 3;
const MOST_VOXELS = { hardware: 1 << 26, software: 1 << 24 }; // loaded unasked; textures take about 12 bytes a voxel
const SLICE_TYPES = { axial: 0, coronal: 1, sagittal: 2 };

const webgl = () => {
  const gl = document.createElement("canvas").getContext("webgl2");
  if (!gl) return null;
  const info = gl.getExtension("WEBGL_debug_renderer_info");
  const name = info ? gl.getParameter(info.UNMASKED_RENDERER_WEBGL) : "";
  gl.getExtension("WEBGL_lose_context")?.loseContext();
  return /swiftshader|llvmpipe|software/i.test(name) ? "software" : "hardware";
};

// The volume's bytes, by ranges, so that progress shows and a lost connection costs one part.
const volumeBytes = async (url, heard) => {
  const part = async (start) => {
    const answer = await fetch(url, { headers: { Range: `bytes=${start}-${start + PART_BYTES - 1}` } });
    if (answer.status !== 206) throw new Error(`status ${answer.status}`);
    return answer;
  };
  const first = await part(0);
  const total = Number(first.headers.get("Content-Range").split("/")[1]);
  const whole = new Uint8Array(total);
  let place = PART_BYTES, got = 0;
  const keep = async (answer, start) => {
    const bytes = new Uint8Array(await answer.arrayBuffer());
    whole.set(bytes, start);
    got += bytes.length;
    heard(got / total);
  };
  await keep(first, 0);
  const lane = async () => {
    while (place < total) {
      const start = place;
      place += PART_BYTES;
      await keep(await part(start), start);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return whole.buffer;
};

// Which part of a slice, as fractions of it from its left and top, a plane's picture on the page shows.
const shownPart = (nv, tile, svg, canvas) => {
  const scale = canvas.width / canvas.getBoundingClientRect().width;
  const frame = canvas.getBoundingClientRect(), rect = svg.getBoundingClientRect();
  const [left, top, width, height] = tile.leftTopWidthHeight;
  const at = (share) => nv.screenXY2TextureFrac(left + share * width, top + share * height, nv.screenSlices.indexOf(tile), false);
  const axes = { 0: [0, 1], 1: [0, 2], 2: [1, 2] }[tile.axCorSag];
  const [low, high] = [at(0.25), at(0.75)];
  return axes.map((axis, n) => {
    const start = n ? top : left, length = n ? height : width; // canvas pixels
    const slope = ((1 - high[axis]) - (1 - low[axis])) / (0.5 * length); // fraction from the left or top, a pixel
    const origin = 1 - low[axis] - slope * (start + 0.25 * length);
    const first = ((n ? rect.top - frame.top : rect.left - frame.left)) * scale;
    return [origin + slope * first, slope * (n ? rect.height : rect.width) * scale];
  });
};

let shown = null; // what the tests ask for the crosshair
export const crosshair = () => shown && Array.from(shown.frac2vox(shown.scene.crosshairPos));

/**
 * Load NiiVue and the volume; hand back how to show a place, or null where pre-rendered slices stay.
 *
 * `hooks` = { facts, planes, box, say(text), moved(ijk, hu), drawn(plane, [[left, width], [top, height]]) }.
 */
export const openViewer = async (hooks, { isAsked = false } = {}) => {
  const { facts, planes, box } = hooks;
  const kind = facts.niivue ? webgl() : null;
  if (!kind) return { refused: facts.niivue ? "this browser has no WebGL 2" : "NiiVue is not installed" };
  const n_voxels = facts.shape_ijk.reduce((a, b) => a * b, 1);
  if (!isAsked && n_voxels > MOST_VOXELS[kind]) return { refused: "a large volume: v loads it into NiiVue", canAsk: true };
  hooks.say("loading 0 %");
  const bytes = volumeBytes(`/volume/${facts.volume_id}`, (share) => hooks.say(`loading ${Math.round(100 * share)} %`));
  bytes.catch(() => {}); // awaited below
  const { Niivue, NVImage } = await import("/assets/niivue.js");
  class Viewer extends Niivue {
    drawScene() {
      const answer = super.drawScene();
      for (const tile of this.screenSlices) {
        const plane = planes.find((one) => SLICE_TYPES[one.name] === tile.axCorSag);
        if (plane && tile.AxyzMxy.length) hooks.drawn(plane, shownPart(this, tile, plane.svg, this.canvas));
      }
      return answer;
    }
  }
  const canvas = document.createElement("canvas");
  canvas.setAttribute("aria-label", "the three planes, drawn by NiiVue; the keys below move them");
  canvas.className = "niivue";
  box.prepend(canvas);
  try {
    const nv = new Viewer({
      isRadiologicalConvention: true, sagittalNoseLeft: true, dragAndDropEnabled: false, loadingText: "",
      logLevel: "error", crosshairColor: [1, 0.84, 0.29, 0.8], crosshairWidth: 0.15, crosshairWidthUnit: "percent",
      dragMode: 2, isForceMouseClickToVoxelCenters: true, isOrientationTextVisible: false,
      clipPlaneHotKey: "", cycleClipPlaneHotKey: "", viewModeHotKey: "", show3Dcrosshair: false,
    });
    await nv.attachToCanvas(canvas, false);
    const [low, high] = facts.windows[hooks.window()];
    const name = facts.is_gz ? "volume.nii.gz" : "volume.nii";
    const image = await NVImage.new(await bytes, name, "gray", 1, null, low, high, true);
    const layout = () => {
      const frame = canvas.getBoundingClientRect();
      nv.setCustomLayout(planes.map(({ name: plane, svg }) => {
        const rect = svg.getBoundingClientRect();
        return {
          sliceType: SLICE_TYPES[plane],
          position: [(rect.left - frame.left) / frame.width, (rect.top - frame.top) / frame.height, rect.width / frame.width, rect.height / frame.height],
        };
      }));
    };
    layout();
    nv.addVolume(image);
    nv.onLocationChange = (place) => hooks.moved(Array.from(place.vox), place.values[0]?.value);
    new ResizeObserver(layout).observe(box);
    shown = nv;
    return {
      show(ijk, window) {
        const [from, to] = facts.windows[window];
        const volume = nv.volumes[0];
        nv.scene.crosshairPos = nv.vox2frac(ijk);
        if (volume.cal_min !== from || volume.cal_max !== to) {
          Object.assign(volume, { cal_min: from, cal_max: to });
          nv.updateGLVolume();
        } else nv.drawScene();
        nv.createOnLocationChange();
      },
    };
  } catch (error) {
    canvas.remove();
    return { refused: `NiiVue failed (${error.message})` };
  }
};
