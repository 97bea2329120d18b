// Made by `make networks`; do not edit it. Sort A values, merge B such lists, find the median of C of those:
// in(list, element) is read, out(element, value) takes what is found. The elements of lists of one are numbered 0.
template <int A, int B, int C> struct Network;
template <class K> __device__ inline K lo(K a, K b) { return a < b ? a : b; }
template <class K> __device__ inline K hi(K a, K b) { return a < b ? b : a; }

template <> struct Network<1, 3, 3> {
    template <class K, class In, class Out> static __device__ inline void sort(In in, Out out)
    {
        const K w0 = in(0, 0);
        out(0, w0);
    }
    template <class K, class In, class Out> static __device__ inline void merge(In in, Out out)
    {
        const K w0 = in(0, 0), w1 = in(1, 0), w2 = in(2, 0), w3 = lo(w0, w2), w4 = hi(w0, w2), w5 = lo(w3, w1), w6 =
        hi(w3, w1), w7 = lo(w6, w4), w8 = hi(w6, w4);
        out(0, w5); out(1, w7); out(2, w8);
    }
    template <class K, class In, class Out> static __device__ inline void select(In in, Out out)
    {
        const K w0 = in(0, 0), w1 = in(0, 1), w2 = in(0, 2), w3 = in(1, 0), w4 = in(1, 1), w5 = in(1, 2), w6 = in(2,
        0), w7 = in(2, 1), w8 = in(2, 2), w9 = hi(w0, w6), w10 = hi(w3, w9), w11 = lo(w1, w7), w12 = hi(w1, w7), w13 =
        hi(w11, w4), w14 = lo(w13, w12), w15 = lo(w2, w8), w16 = lo(w15, w5), w17 = lo(w16, w14), w18 = hi(w16, w14),
        w19 = hi(w10, w17), w20 = lo(w18, w19);
        out(4, w20);
    }
};

template <> struct Network<1, 5, 5> {
    template <class K, class In, class Out> static __device__ inline void sort(In in, Out out)
    {
        const K w0 = in(0, 0);
        out(0, w0);
    }
    template <class K, class In, class Out> static __device__ inline void merge(In in, Out out)
    {
        const K w0 = in(0, 0), w1 = in(1, 0), w2 = in(2, 0), w3 = in(3, 0), w4 = in(4, 0), w5 = lo(w0, w3), w6 =
        hi(w0, w3), w7 = lo(w1, w4), w8 = hi(w1, w4), w9 = lo(w5, w2), w10 = hi(w5, w2), w11 = lo(w7, w6), w12 =
        hi(w7, w6), w13 = lo(w9, w11), w14 = hi(w9, w11), w15 = lo(w10, w8), w16 = hi(w10, w8), w17 = lo(w14, w15),
        w18 = hi(w14, w15), w19 = lo(w12, w16), w20 = hi(w12, w16), w21 = lo(w18, w19), w22 = hi(w18, w19);
        out(0, w13); out(1, w17); out(2, w21); out(3, w22); out(4, w20);
    }
    template <class K, class In, class Out> static __device__ inline void select(In in, Out out)
    {
        const K w0 = in(0, 0), w1 = in(0, 1), w2 = in(0, 2), w3 = in(0, 3), w4 = in(0, 4), w5 = in(1, 0), w6 = in(1,
        1), w7 = in(1, 2), w8 = in(1, 3), w9 = in(1, 4), w10 = in(2, 0), w11 = in(2, 1), w12 = in(2, 2), w13 = in(2,
        3), w14 = in(2, 4), w15 = in(3, 0), w16 = in(3, 1), w17 = in(3, 2), w18 = in(3, 3), w19 = in(3, 4), w20 =
        in(4, 0), w21 = in(4, 1), w22 = in(4, 2), w23 = in(4, 3), w24 = in(4, 4), w25 = lo(w0, w15), w26 = hi(w0,
        w15), w27 = lo(w5, w20), w28 = hi(w5, w20), w29 = hi(w25, w10), w30 = hi(w27, w26), w31 = lo(w29, w28), w32 =
        hi(w29, w28), w33 = lo(w30, w32), w34 = hi(w30, w32), w35 = hi(w31, w33), w36 = lo(w1, w16), w37 = hi(w1,
        w16), w38 = lo(w6, w21), w39 = hi(w6, w21), w40 = lo(w36, w11), w41 = hi(w36, w11), w42 = lo(w38, w37), w43 =
        hi(w38, w37), w44 = hi(w40, w42), w45 = lo(w41, w39), w46 = hi(w41, w39), w47 = hi(w44, w45), w48 = lo(w43,
        w46), w49 = hi(w43, w46), w50 = lo(w47, w48), w51 = hi(w47, w48), w52 = lo(w2, w17), w53 = hi(w2, w17), w54 =
        lo(w7, w22), w55 = hi(w7, w22), w56 = lo(w52, w12), w57 = hi(w52, w12), w58 = lo(w54, w53), w59 = hi(w54,
        w53), w60 = hi(w56, w58), w61 = lo(w57, w55), w62 = hi(w57, w55), w63 = lo(w60, w61), w64 = hi(w60, w61), w65
        = lo(w59, w62), w66 = lo(w64, w65), w67 = hi(w64, w65), w68 = lo(w3, w18), w69 = hi(w3, w18), w70 = lo(w8,
        w23), w71 = hi(w8, w23), w72 = lo(w68, w13), w73 = hi(w68, w13), w74 = lo(w70, w69), w75 = hi(w70, w69), w76 =
        lo(w72, w74), w77 = hi(w72, w74), w78 = lo(w73, w71), w79 = lo(w77, w78), w80 = hi(w77, w78), w81 = lo(w80,
        w75), w82 = lo(w4, w19), w83 = hi(w4, w19), w84 = lo(w9, w24), w85 = hi(w9, w24), w86 = lo(w82, w14), w87 =
        hi(w82, w14), w88 = lo(w84, w83), w89 = lo(w86, w88), w90 = hi(w86, w88), w91 = lo(w87, w85), w92 = lo(w90,
        w91), w93 = lo(w76, w34), w94 = hi(w76, w34), w95 = lo(w89, w49), w96 = hi(w89, w49), w97 = lo(w95, w94), w98
        = hi(w95, w94), w99 = hi(w63, w50), w100 = lo(w92, w81), w101 = lo(w100, w99), w102 = hi(w100, w99), w103 =
        lo(w79, w66), w104 = hi(w79, w66), w105 = hi(w103, w101), w106 = lo(w104, w102), w107 = hi(w104, w102), w108 =
        hi(w35, w63), w109 = lo(w67, w106), w110 = hi(w109, w108), w111 = lo(w51, w105), w112 = hi(w51, w105), w113 =
        lo(w107, w112), w114 = hi(w111, w63), w115 = lo(w113, w110), w116 = hi(w113, w110), w117 = hi(w114, w93), w118
        = lo(w116, w98), w119 = hi(w118, w117), w120 = hi(w115, w97), w121 = lo(w96, w120), w122 = lo(w121, w119);
        out(12, w122);
    }
};

template <> struct Network<1, 7, 7> {
    template <class K, class In, class Out> static __device__ inline void sort(In in, Out out)
    {
        const K w0 = in(0, 0);
        out(0, w0);
    }
    template <class K, class In, class Out> static __device__ inline void merge(In in, Out out)
    {
        const K w0 = in(0, 0), w1 = in(1, 0), w2 = in(2, 0), w3 = in(3, 0), w4 = in(4, 0), w5 = in(5, 0), w6 = in(6,
        0), w7 = lo(w0, w6), w8 = hi(w0, w6), w9 = lo(w2, w3), w10 = hi(w2, w3), w11 = lo(w4, w5), w12 = hi(w4, w5),
        w13 = lo(w7, w9), w14 = hi(w7, w9), w15 = lo(w1, w11), w16 = hi(w1, w11), w17 = lo(w10, w8), w18 = hi(w10,
        w8), w19 = lo(w13, w15), w20 = hi(w13, w15), w21 = lo(w14, w12), w22 = hi(w14, w12), w23 = lo(w17, w16), w24 =
        hi(w17, w16), w25 = lo(w20, w21), w26 = hi(w20, w21), w27 = lo(w24, w18), w28 = hi(w24, w18), w29 = lo(w26,
        w23), w30 = hi(w26, w23), w31 = lo(w27, w22), w32 = hi(w27, w22), w33 = lo(w25, w29), w34 = hi(w25, w29), w35
        = lo(w30, w31), w36 = hi(w30, w31), w37 = lo(w32, w28), w38 = hi(w32, w28);
        out(0, w19); out(1, w33); out(2, w34); out(3, w35); out(4, w36); out(5, w37); out(6, w38);
    }
    template <class K, class In, class Out> static __device__ inline void select(In in, Out out)
    {
        const K w0 = in(0, 0), w1 = in(0, 1), w2 = in(0, 2), w3 = in(0, 3), w4 = in(0, 4), w5 = in(0, 5), w6 = in(0,
        6), w7 = in(1, 0), w8 = in(1, 1), w9 = in(1, 2), w10 = in(1, 3), w11 = in(1, 4), w12 = in(1, 5), w13 = in(1,
        6), w14 = in(2, 0), w15 = in(2, 1), w16 = in(2, 2), w17 = in(2, 3), w18 = in(2, 4), w19 = in(2, 5), w20 =
        in(2, 6), w21 = in(3, 0), w22 = in(3, 1), w23 = in(3, 2), w24 = in(3, 3), w25 = in(3, 4), w26 = in(3, 5), w27
        = in(3, 6), w28 = in(4, 0), w29 = in(4, 1), w30 = in(4, 2), w31 = in(4, 3), w32 = in(4, 4), w33 = in(4, 5),
        w34 = in(4, 6), w35 = in(5, 0), w36 = in(5, 1), w37 = in(5, 2), w38 = in(5, 3), w39 = in(5, 4), w40 = in(5,
        5), w41 = in(5, 6), w42 = in(6, 0), w43 = in(6, 1), w44 = in(6, 2), w45 = in(6, 3), w46 = in(6, 4), w47 =
        in(6, 5), w48 = in(6, 6), w49 = lo(w0, w42), w50 = hi(w0, w42), w51 = lo(w14, w21), w52 = hi(w14, w21), w53 =
        lo(w28, w35), w54 = hi(w28, w35), w55 = hi(w49, w51), w56 = lo(w7, w53), w57 = hi(w7, w53), w58 = lo(w52,
        w50), w59 = hi(w52, w50), w60 = lo(w55, w54), w61 = hi(w55, w54), w62 = lo(w58, w57), w63 = hi(w58, w57), w64
        = hi(w56, w60), w65 = lo(w63, w59), w66 = hi(w63, w59), w67 = hi(w64, w62), w68 = lo(w65, w61), w69 = hi(w65,
        w61), w70 = hi(w67, w68), w71 = lo(w69, w66), w72 = hi(w69, w66), w73 = lo(w1, w43), w74 = hi(w1, w43), w75 =
        lo(w15, w22), w76 = hi(w15, w22), w77 = lo(w29, w36), w78 = hi(w29, w36), w79 = lo(w73, w75), w80 = hi(w73,
        w75), w81 = lo(w8, w77), w82 = hi(w8, w77), w83 = lo(w76, w74), w84 = hi(w76, w74), w85 = hi(w79, w81), w86 =
        lo(w80, w78), w87 = hi(w80, w78), w88 = lo(w83, w82), w89 = hi(w83, w82), w90 = hi(w85, w86), w91 = lo(w89,
        w84), w92 = hi(w89, w84), w93 = hi(w90, w88), w94 = lo(w91, w87), w95 = hi(w91, w87), w96 = lo(w93, w94), w97
        = hi(w93, w94), w98 = lo(w95, w92), w99 = hi(w95, w92), w100 = lo(w2, w44), w101 = hi(w2, w44), w102 = lo(w16,
        w23), w103 = hi(w16, w23), w104 = lo(w30, w37), w105 = hi(w30, w37), w106 = lo(w100, w102), w107 = hi(w100,
        w102), w108 = lo(w9, w104), w109 = hi(w9, w104), w110 = lo(w103, w101), w111 = hi(w103, w101), w112 = hi(w106,
        w108), w113 = lo(w107, w105), w114 = hi(w107, w105), w115 = lo(w110, w109), w116 = hi(w110, w109), w117 =
        lo(w112, w113), w118 = hi(w112, w113), w119 = lo(w116, w111), w120 = hi(w116, w111), w121 = lo(w118, w115),
        w122 = hi(w118, w115), w123 = lo(w119, w114), w124 = hi(w119, w114), w125 = hi(w117, w121), w126 = lo(w122,
        w123), w127 = hi(w122, w123), w128 = lo(w124, w120), w129 = hi(w124, w120), w130 = lo(w3, w45), w131 = hi(w3,
        w45), w132 = lo(w17, w24), w133 = hi(w17, w24), w134 = lo(w31, w38), w135 = hi(w31, w38), w136 = lo(w130,
        w132), w137 = hi(w130, w132), w138 = lo(w10, w134), w139 = hi(w10, w134), w140 = lo(w133, w131), w141 =
        hi(w133, w131), w142 = hi(w136, w138), w143 = lo(w137, w135), w144 = hi(w137, w135), w145 = lo(w140, w139),
        w146 = hi(w140, w139), w147 = lo(w142, w143), w148 = hi(w142, w143), w149 = lo(w146, w141), w150 = hi(w146,
        w141), w151 = lo(w148, w145), w152 = hi(w148, w145), w153 = lo(w149, w144), w154 = hi(w149, w144), w155 =
        lo(w147, w151), w156 = hi(w147, w151), w157 = lo(w152, w153), w158 = hi(w152, w153), w159 = lo(w154, w150),
        w160 = lo(w4, w46), w161 = hi(w4, w46), w162 = lo(w18, w25), w163 = hi(w18, w25), w164 = lo(w32, w39), w165 =
        hi(w32, w39), w166 = lo(w160, w162), w167 = hi(w160, w162), w168 = lo(w11, w164), w169 = hi(w11, w164), w170 =
        lo(w163, w161), w171 = hi(w163, w161), w172 = lo(w166, w168), w173 = hi(w166, w168), w174 = lo(w167, w165),
        w175 = hi(w167, w165), w176 = lo(w170, w169), w177 = hi(w170, w169), w178 = lo(w173, w174), w179 = hi(w173,
        w174), w180 = lo(w177, w171), w181 = lo(w179, w176), w182 = hi(w179, w176), w183 = lo(w180, w175), w184 =
        lo(w178, w181), w185 = hi(w178, w181), w186 = lo(w182, w183), w187 = hi(w182, w183), w188 = lo(w5, w47), w189
        = hi(w5, w47), w190 = lo(w19, w26), w191 = hi(w19, w26), w192 = lo(w33, w40), w193 = hi(w33, w40), w194 =
        lo(w188, w190), w195 = hi(w188, w190), w196 = lo(w12, w192), w197 = hi(w12, w192), w198 = lo(w191, w189), w199
        = hi(w191, w189), w200 = lo(w194, w196), w201 = hi(w194, w196), w202 = lo(w195, w193), w203 = hi(w195, w193),
        w204 = lo(w198, w197), w205 = hi(w198, w197), w206 = lo(w201, w202), w207 = hi(w201, w202), w208 = lo(w205,
        w199), w209 = lo(w207, w204), w210 = hi(w207, w204), w211 = lo(w208, w203), w212 = lo(w206, w209), w213 =
        hi(w206, w209), w214 = lo(w210, w211), w215 = lo(w6, w48), w216 = hi(w6, w48), w217 = lo(w20, w27), w218 =
        hi(w20, w27), w219 = lo(w34, w41), w220 = hi(w34, w41), w221 = lo(w215, w217), w222 = hi(w215, w217), w223 =
        lo(w13, w219), w224 = hi(w13, w219), w225 = lo(w218, w216), w226 = lo(w221, w223), w227 = hi(w221, w223), w228
        = lo(w222, w220), w229 = lo(w225, w224), w230 = lo(w227, w228), w231 = hi(w227, w228), w232 = lo(w231, w229),
        w233 = lo(w230, w232), w234 = hi(w230, w232), w235 = lo(w172, w72), w236 = hi(w172, w72), w237 = lo(w226,
        w129), w238 = hi(w226, w129), w239 = lo(w237, w236), w240 = hi(w237, w236), w241 = lo(w200, w99), w242 =
        hi(w200, w99), w243 = lo(w241, w239), w244 = hi(w241, w239), w245 = lo(w242, w240), w246 = hi(w242, w240),
        w247 = hi(w155, w71), w248 = lo(w212, w128), w249 = hi(w212, w128), w250 = lo(w248, w247), w251 = hi(w248,
        w247), w252 = lo(w184, w98), w253 = hi(w184, w98), w254 = lo(w233, w159), w255 = lo(w254, w253), w256 =
        hi(w254, w253), w257 = hi(w252, w250), w258 = lo(w255, w251), w259 = hi(w255, w251), w260 = lo(w256, w249),
        w261 = hi(w257, w125), w262 = lo(w259, w185), w263 = hi(w259, w185), w264 = lo(w262, w261), w265 = hi(w262,
        w261), w266 = lo(w263, w234), w267 = hi(w263, w234), w268 = lo(w258, w156), w269 = hi(w258, w156), w270 =
        lo(w260, w213), w271 = lo(w270, w269), w272 = hi(w270, w269), w273 = hi(w268, w264), w274 = lo(w271, w265),
        w275 = hi(w271, w265), w276 = lo(w272, w266), w277 = hi(w272, w266), w278 = hi(w96, w70), w279 = lo(w214,
        w187), w280 = lo(w279, w278), w281 = hi(w279, w278), w282 = lo(w157, w127), w283 = hi(w157, w127), w284 =
        lo(w282, w280), w285 = hi(w282, w280), w286 = lo(w283, w281), w287 = lo(w126, w97), w288 = hi(w126, w97), w289
        = lo(w186, w158), w290 = hi(w186, w158), w291 = lo(w289, w288), w292 = hi(w289, w288), w293 = hi(w287, w284),
        w294 = lo(w291, w285), w295 = hi(w291, w285), w296 = lo(w292, w286), w297 = hi(w292, w286), w298 = hi(w273,
        w235), w299 = lo(w277, w246), w300 = lo(w299, w298), w301 = hi(w299, w298), w302 = lo(w275, w244), w303 =
        hi(w275, w244), w304 = hi(w302, w300), w305 = lo(w303, w301), w306 = hi(w303, w301), w307 = lo(w274, w243),
        w308 = hi(w274, w243), w309 = lo(w267, w238), w310 = lo(w309, w308), w311 = lo(w276, w245), w312 = hi(w276,
        w245), w313 = lo(w311, w310), w314 = hi(w311, w310), w315 = lo(w312, w267), w316 = hi(w312, w267), w317 =
        lo(w313, w304), w318 = hi(w313, w304), w319 = lo(w314, w305), w320 = hi(w314, w305), w321 = lo(w315, w306),
        w322 = hi(w315, w306), w323 = hi(w307, w96), w324 = lo(w320, w296), w325 = hi(w324, w323), w326 = hi(w318,
        w294), w327 = lo(w322, w290), w328 = lo(w327, w326), w329 = hi(w328, w325), w330 = hi(w317, w293), w331 =
        lo(w321, w297), w332 = hi(w331, w330), w333 = hi(w319, w295), w334 = lo(w316, w187), w335 = lo(w334, w333),
        w336 = lo(w335, w332), w337 = lo(w336, w329);
        out(24, w337);
    }
};

template <> struct Network<3, 3, 3> {
    template <class K, class In, class Out> static __device__ inline void sort(In in, Out out)
    {
        const K w0 = in(0, 0), w1 = in(1, 0), w2 = in(2, 0), w3 = lo(w0, w2), w4 = hi(w0, w2), w5 = lo(w3, w1), w6 =
        hi(w3, w1), w7 = lo(w6, w4), w8 = hi(w6, w4);
        out(0, w5); out(1, w7); out(2, w8);
    }
    template <class K, class In, class Out> static __device__ inline void merge(In in, Out out)
    {
        const K w0 = in(0, 0), w1 = in(0, 1), w2 = in(0, 2), w3 = in(1, 0), w4 = in(1, 1), w5 = in(1, 2), w6 = in(2,
        0), w7 = in(2, 1), w8 = in(2, 2), w9 = lo(w0, w6), w10 = hi(w0, w6), w11 = lo(w9, w3), w12 = hi(w9, w3), w13 =
        lo(w12, w10), w14 = hi(w12, w10), w15 = lo(w1, w7), w16 = hi(w1, w7), w17 = lo(w15, w4), w18 = hi(w15, w4),
        w19 = lo(w18, w16), w20 = hi(w18, w16), w21 = lo(w2, w8), w22 = hi(w2, w8), w23 = lo(w21, w5), w24 = hi(w21,
        w5), w25 = lo(w24, w22), w26 = hi(w24, w22), w27 = lo(w23, w13), w28 = hi(w23, w13), w29 = lo(w17, w27), w30 =
        hi(w17, w27), w31 = lo(w19, w28), w32 = hi(w19, w28), w33 = lo(w32, w14), w34 = hi(w32, w14), w35 = lo(w30,
        w33), w36 = hi(w30, w33), w37 = lo(w25, w20), w38 = hi(w25, w20), w39 = lo(w31, w36), w40 = hi(w31, w36), w41
        = lo(w37, w34), w42 = hi(w37, w34);
        out(0, w11); out(1, w29); out(2, w35); out(3, w39); out(4, w40); out(5, w41); out(6, w42); out(7, w38); out(8,
        w26);
    }
    template <class K, class In, class Out> static __device__ inline void select(In in, Out out)
    {
        const K w0 = in(0, 0), w1 = in(0, 1), w2 = in(0, 2), w3 = in(0, 3), w4 = in(0, 4), w5 = in(0, 5), w6 = in(0,
        6), w7 = in(0, 7), w8 = in(0, 8), w9 = in(1, 0), w10 = in(1, 1), w11 = in(1, 2), w12 = in(1, 3), w13 = in(1,
        4), w14 = in(1, 5), w15 = in(1, 6), w16 = in(1, 7), w17 = in(1, 8), w18 = in(2, 0), w19 = in(2, 1), w20 =
        in(2, 2), w21 = in(2, 3), w22 = in(2, 4), w23 = in(2, 5), w24 = in(2, 6), w25 = in(2, 7), w26 = in(2, 8), w27
        = hi(w0, w18), w28 = hi(w9, w27), w29 = hi(w1, w19), w30 = hi(w10, w29), w31 = lo(w2, w20), w32 = hi(w2, w20),
        w33 = hi(w31, w11), w34 = lo(w33, w32), w35 = hi(w33, w32), w36 = lo(w3, w21), w37 = hi(w3, w21), w38 =
        hi(w36, w12), w39 = lo(w38, w37), w40 = hi(w38, w37), w41 = lo(w4, w22), w42 = hi(w4, w22), w43 = hi(w41,
        w13), w44 = lo(w43, w42), w45 = lo(w5, w23), w46 = hi(w5, w23), w47 = lo(w45, w14), w48 = hi(w45, w14), w49 =
        lo(w48, w46), w50 = lo(w6, w24), w51 = hi(w6, w24), w52 = lo(w50, w15), w53 = hi(w50, w15), w54 = lo(w53,
        w51), w55 = lo(w7, w25), w56 = lo(w55, w16), w57 = lo(w8, w26), w58 = lo(w57, w17), w59 = hi(w47, w28), w60 =
        lo(w56, w35), w61 = hi(w56, w35), w62 = lo(w60, w59), w63 = hi(w60, w59), w64 = lo(w52, w30), w65 = hi(w52,
        w30), w66 = lo(w58, w40), w67 = lo(w66, w65), w68 = hi(w66, w65), w69 = hi(w64, w62), w70 = lo(w67, w63), w71
        = hi(w67, w63), w72 = lo(w68, w61), w73 = hi(w69, w34), w74 = lo(w54, w73), w75 = lo(w71, w44), w76 = hi(w75,
        w74), w77 = hi(w70, w39), w78 = lo(w72, w49), w79 = lo(w78, w77), w80 = hi(w79, w76);
        out(13, w80);
    }
};

template <> struct Network<5, 5, 5> {
    template <class K, class In, class Out> static __device__ inline void sort(In in, Out out)
    {
        const K w0 = in(0, 0), w1 = in(1, 0), w2 = in(2, 0), w3 = in(3, 0), w4 = in(4, 0), w5 = lo(w0, w3), w6 =
        hi(w0, w3), w7 = lo(w1, w4), w8 = hi(w1, w4), w9 = lo(w5, w2), w10 = hi(w5, w2), w11 = lo(w7, w6), w12 =
        hi(w7, w6), w13 = lo(w9, w11), w14 = hi(w9, w11), w15 = lo(w10, w8), w16 = hi(w10, w8), w17 = lo(w14, w15),
        w18 = hi(w14, w15), w19 = lo(w12, w16), w20 = hi(w12, w16), w21 = lo(w18, w19), w22 = hi(w18, w19);
        out(0, w13); out(1, w17); out(2, w21); out(3, w22); out(4, w20);
    }
    template <class K, class In, class Out> static __device__ inline void merge(In in, Out out)
    {
        const K w0 = in(0, 0), w1 = in(0, 1), w2 = in(0, 2), w3 = in(0, 3), w4 = in(0, 4), w5 = in(1, 0), w6 = in(1,
        1), w7 = in(1, 2), w8 = in(1, 3), w9 = in(1, 4), w10 = in(2, 0), w11 = in(2, 1), w12 = in(2, 2), w13 = in(2,
        3), w14 = in(2, 4), w15 = in(3, 0), w16 = in(3, 1), w17 = in(3, 2), w18 = in(3, 3), w19 = in(3, 4), w20 =
        in(4, 0), w21 = in(4, 1), w22 = in(4, 2), w23 = in(4, 3), w24 = in(4, 4), w25 = lo(w0, w5), w26 = hi(w0, w5),
        w27 = lo(w4, w9), w28 = hi(w4, w9), w29 = lo(w27, w26), w30 = hi(w27, w26), w31 = lo(w2, w7), w32 = hi(w2,
        w7), w33 = lo(w31, w29), w34 = hi(w31, w29), w35 = lo(w32, w30), w36 = hi(w32, w30), w37 = lo(w1, w6), w38 =
        hi(w1, w6), w39 = lo(w3, w8), w40 = hi(w3, w8), w41 = lo(w39, w38), w42 = hi(w39, w38), w43 = lo(w37, w33),
        w44 = hi(w37, w33), w45 = lo(w41, w34), w46 = hi(w41, w34), w47 = lo(w42, w35), w48 = hi(w42, w35), w49 =
        lo(w40, w36), w50 = hi(w40, w36), w51 = lo(w10, w15), w52 = hi(w10, w15), w53 = lo(w14, w19), w54 = hi(w14,
        w19), w55 = lo(w53, w52), w56 = hi(w53, w52), w57 = lo(w12, w17), w58 = hi(w12, w17), w59 = lo(w57, w55), w60
        = hi(w57, w55), w61 = lo(w58, w56), w62 = hi(w58, w56), w63 = lo(w11, w16), w64 = hi(w11, w16), w65 = lo(w13,
        w18), w66 = hi(w13, w18), w67 = lo(w65, w64), w68 = hi(w65, w64), w69 = lo(w63, w59), w70 = hi(w63, w59), w71
        = lo(w67, w60), w72 = hi(w67, w60), w73 = lo(w68, w61), w74 = hi(w68, w61), w75 = lo(w66, w62), w76 = hi(w66,
        w62), w77 = lo(w20, w25), w78 = hi(w20, w25), w79 = lo(w50, w78), w80 = hi(w50, w78), w81 = lo(w24, w46), w82
        = hi(w24, w46), w83 = lo(w81, w79), w84 = hi(w81, w79), w85 = lo(w82, w80), w86 = hi(w82, w80), w87 = lo(w22,
        w44), w88 = hi(w22, w44), w89 = lo(w48, w88), w90 = hi(w48, w88), w91 = lo(w87, w83), w92 = hi(w87, w83), w93
        = lo(w89, w84), w94 = hi(w89, w84), w95 = lo(w90, w85), w96 = hi(w90, w85), w97 = lo(w21, w43), w98 = hi(w21,
        w43), w99 = lo(w28, w98), w100 = hi(w28, w98), w101 = lo(w47, w99), w102 = hi(w47, w99), w103 = lo(w23, w45),
        w104 = hi(w23, w45), w105 = lo(w49, w104), w106 = hi(w49, w104), w107 = lo(w103, w101), w108 = hi(w103, w101),
        w109 = lo(w105, w102), w110 = hi(w105, w102), w111 = lo(w106, w100), w112 = hi(w106, w100), w113 = lo(w97,
        w91), w114 = hi(w97, w91), w115 = lo(w107, w92), w116 = hi(w107, w92), w117 = lo(w108, w93), w118 = hi(w108,
        w93), w119 = lo(w109, w94), w120 = hi(w109, w94), w121 = lo(w110, w95), w122 = hi(w110, w95), w123 = lo(w111,
        w96), w124 = hi(w111, w96), w125 = lo(w112, w86), w126 = hi(w112, w86), w127 = lo(w51, w77), w128 = hi(w51,
        w77), w129 = lo(w76, w120), w130 = hi(w76, w120), w131 = lo(w129, w128), w132 = hi(w129, w128), w133 = lo(w72,
        w116), w134 = hi(w72, w116), w135 = lo(w124, w134), w136 = hi(w124, w134), w137 = lo(w133, w131), w138 =
        hi(w133, w131), w139 = lo(w135, w132), w140 = hi(w135, w132), w141 = lo(w136, w130), w142 = hi(w136, w130),
        w143 = lo(w70, w114), w144 = hi(w70, w114), w145 = lo(w122, w144), w146 = hi(w122, w144), w147 = lo(w74,
        w118), w148 = hi(w74, w118), w149 = lo(w126, w148), w150 = hi(w126, w148), w151 = lo(w147, w145), w152 =
        hi(w147, w145), w153 = lo(w149, w146), w154 = hi(w149, w146), w155 = lo(w143, w137), w156 = hi(w143, w137),
        w157 = lo(w151, w138), w158 = hi(w151, w138), w159 = lo(w152, w139), w160 = hi(w152, w139), w161 = lo(w153,
        w140), w162 = hi(w153, w140), w163 = lo(w154, w141), w164 = hi(w154, w141), w165 = lo(w150, w142), w166 =
        hi(w150, w142), w167 = lo(w69, w113), w168 = hi(w69, w113), w169 = lo(w54, w121), w170 = hi(w54, w121), w171 =
        lo(w169, w168), w172 = hi(w169, w168), w173 = lo(w73, w117), w174 = hi(w73, w117), w175 = lo(w125, w174), w176
        = hi(w125, w174), w177 = lo(w173, w171), w178 = hi(w173, w171), w179 = lo(w175, w172), w180 = hi(w175, w172),
        w181 = lo(w176, w170), w182 = hi(w176, w170), w183 = lo(w71, w115), w184 = hi(w71, w115), w185 = lo(w123,
        w184), w186 = hi(w123, w184), w187 = lo(w75, w119), w188 = hi(w75, w119), w189 = lo(w187, w185), w190 =
        hi(w187, w185), w191 = lo(w188, w186), w192 = hi(w188, w186), w193 = lo(w183, w177), w194 = hi(w183, w177),
        w195 = lo(w189, w178), w196 = hi(w189, w178), w197 = lo(w190, w179), w198 = hi(w190, w179), w199 = lo(w191,
        w180), w200 = hi(w191, w180), w201 = lo(w192, w181), w202 = hi(w192, w181), w203 = lo(w167, w155), w204 =
        hi(w167, w155), w205 = lo(w193, w156), w206 = hi(w193, w156), w207 = lo(w194, w157), w208 = hi(w194, w157),
        w209 = lo(w195, w158), w210 = hi(w195, w158), w211 = lo(w196, w159), w212 = hi(w196, w159), w213 = lo(w197,
        w160), w214 = hi(w197, w160), w215 = lo(w198, w161), w216 = hi(w198, w161), w217 = lo(w199, w162), w218 =
        hi(w199, w162), w219 = lo(w200, w163), w220 = hi(w200, w163), w221 = lo(w201, w164), w222 = hi(w201, w164),
        w223 = lo(w202, w165), w224 = hi(w202, w165), w225 = lo(w182, w166), w226 = hi(w182, w166);
        out(0, w127); out(1, w203); out(2, w204); out(3, w205); out(4, w206); out(5, w207); out(6, w208); out(7,
        w209); out(8, w210); out(9, w211); out(10, w212); out(11, w213); out(12, w214); out(13, w215); out(14, w216);
        out(15, w217); out(16, w218); out(17, w219); out(18, w220); out(19, w221); out(20, w222); out(21, w223);
        out(22, w224); out(23, w225); out(24, w226);
    }
    template <class K, class In, class Out> static __device__ inline void select(In in, Out out)
    {
        const K w0 = in(0, 0), w1 = in(0, 1), w2 = in(0, 2), w3 = in(0, 3), w4 = in(0, 4), w5 = in(0, 5), w6 = in(0,
        6), w7 = in(0, 7), w8 = in(0, 8), w9 = in(0, 9), w10 = in(0, 10), w11 = in(0, 11), w12 = in(0, 12), w13 =
        in(0, 13), w14 = in(0, 14), w15 = in(0, 15), w16 = in(0, 16), w17 = in(0, 17), w18 = in(0, 18), w19 = in(0,
        19), w20 = in(0, 20), w21 = in(0, 21), w22 = in(0, 22), w23 = in(0, 23), w24 = in(0, 24), w25 = in(1, 0), w26
        = in(1, 1), w27 = in(1, 2), w28 = in(1, 3), w29 = in(1, 4), w30 = in(1, 5), w31 = in(1, 6), w32 = in(1, 7),
        w33 = in(1, 8), w34 = in(1, 9), w35 = in(1, 10), w36 = in(1, 11), w37 = in(1, 12), w38 = in(1, 13), w39 =
        in(1, 14), w40 = in(1, 15), w41 = in(1, 16), w42 = in(1, 17), w43 = in(1, 18), w44 = in(1, 19), w45 = in(1,
        20), w46 = in(1, 21), w47 = in(1, 22), w48 = in(1, 23), w49 = in(1, 24), w50 = in(2, 0), w51 = in(2, 1), w52 =
        in(2, 2), w53 = in(2, 3), w54 = in(2, 4), w55 = in(2, 5), w56 = in(2, 6), w57 = in(2, 7), w58 = in(2, 8), w59
        = in(2, 9), w60 = in(2, 10), w61 = in(2, 11), w62 = in(2, 12), w63 = in(2, 13), w64 = in(2, 14), w65 = in(2,
        15), w66 = in(2, 16), w67 = in(2, 17), w68 = in(2, 18), w69 = in(2, 19), w70 = in(2, 20), w71 = in(2, 21), w72
        = in(2, 22), w73 = in(2, 23), w74 = in(2, 24), w75 = in(3, 0), w76 = in(3, 1), w77 = in(3, 2), w78 = in(3, 3),
        w79 = in(3, 4), w80 = in(3, 5), w81 = in(3, 6), w82 = in(3, 7), w83 = in(3, 8), w84 = in(3, 9), w85 = in(3,
        10), w86 = in(3, 11), w87 = in(3, 12), w88 = in(3, 13), w89 = in(3, 14), w90 = in(3, 15), w91 = in(3, 16), w92
        = in(3, 17), w93 = in(3, 18), w94 = in(3, 19), w95 = in(3, 20), w96 = in(3, 21), w97 = in(3, 22), w98 = in(3,
        23), w99 = in(3, 24), w100 = in(4, 0), w101 = in(4, 1), w102 = in(4, 2), w103 = in(4, 3), w104 = in(4, 4),
        w105 = in(4, 5), w106 = in(4, 6), w107 = in(4, 7), w108 = in(4, 8), w109 = in(4, 9), w110 = in(4, 10), w111 =
        in(4, 11), w112 = in(4, 12), w113 = in(4, 13), w114 = in(4, 14), w115 = in(4, 15), w116 = in(4, 16), w117 =
        in(4, 17), w118 = in(4, 18), w119 = in(4, 19), w120 = in(4, 20), w121 = in(4, 21), w122 = in(4, 22), w123 =
        in(4, 23), w124 = in(4, 24), w125 = lo(w0, w75), w126 = hi(w0, w75), w127 = lo(w25, w100), w128 = hi(w25,
        w100), w129 = hi(w125, w50), w130 = hi(w127, w126), w131 = lo(w129, w128), w132 = hi(w129, w128), w133 =
        lo(w130, w132), w134 = hi(w130, w132), w135 = hi(w131, w133), w136 = lo(w1, w76), w137 = hi(w1, w76), w138 =
        lo(w26, w101), w139 = hi(w26, w101), w140 = hi(w136, w51), w141 = hi(w138, w137), w142 = lo(w140, w139), w143
        = hi(w140, w139), w144 = lo(w141, w143), w145 = hi(w141, w143), w146 = hi(w142, w144), w147 = lo(w2, w77),
        w148 = hi(w2, w77), w149 = lo(w27, w102), w150 = hi(w27, w102), w151 = hi(w147, w52), w152 = hi(w149, w148),
        w153 = lo(w151, w150), w154 = hi(w151, w150), w155 = lo(w152, w154), w156 = hi(w152, w154), w157 = hi(w153,
        w155), w158 = lo(w3, w78), w159 = hi(w3, w78), w160 = lo(w28, w103), w161 = hi(w28, w103), w162 = hi(w158,
        w53), w163 = hi(w160, w159), w164 = lo(w162, w161), w165 = hi(w162, w161), w166 = lo(w163, w165), w167 =
        hi(w163, w165), w168 = hi(w164, w166), w169 = lo(w4, w79), w170 = hi(w4, w79), w171 = lo(w29, w104), w172 =
        hi(w29, w104), w173 = lo(w169, w54), w174 = hi(w169, w54), w175 = lo(w171, w170), w176 = hi(w171, w170), w177
        = hi(w173, w175), w178 = lo(w174, w172), w179 = hi(w174, w172), w180 = hi(w177, w178), w181 = lo(w176, w179),
        w182 = hi(w176, w179), w183 = lo(w180, w181), w184 = hi(w180, w181), w185 = lo(w5, w80), w186 = hi(w5, w80),
        w187 = lo(w30, w105), w188 = hi(w30, w105), w189 = lo(w185, w55), w190 = hi(w185, w55), w191 = lo(w187, w186),
        w192 = hi(w187, w186), w193 = hi(w189, w191), w194 = lo(w190, w188), w195 = hi(w190, w188), w196 = hi(w193,
        w194), w197 = lo(w192, w195), w198 = hi(w192, w195), w199 = lo(w196, w197), w200 = hi(w196, w197), w201 =
        lo(w6, w81), w202 = hi(w6, w81), w203 = lo(w31, w106), w204 = hi(w31, w106), w205 = lo(w201, w56), w206 =
        hi(w201, w56), w207 = lo(w203, w202), w208 = hi(w203, w202), w209 = hi(w205, w207), w210 = lo(w206, w204),
        w211 = hi(w206, w204), w212 = hi(w209, w210), w213 = lo(w208, w211), w214 = hi(w208, w211), w215 = lo(w212,
        w213), w216 = hi(w212, w213), w217 = lo(w7, w82), w218 = hi(w7, w82), w219 = lo(w32, w107), w220 = hi(w32,
        w107), w221 = lo(w217, w57), w222 = hi(w217, w57), w223 = lo(w219, w218), w224 = hi(w219, w218), w225 =
        hi(w221, w223), w226 = lo(w222, w220), w227 = hi(w222, w220), w228 = hi(w225, w226), w229 = lo(w224, w227),
        w230 = hi(w224, w227), w231 = lo(w228, w229), w232 = hi(w228, w229), w233 = lo(w8, w83), w234 = hi(w8, w83),
        w235 = lo(w33, w108), w236 = hi(w33, w108), w237 = lo(w233, w58), w238 = hi(w233, w58), w239 = lo(w235, w234),
        w240 = hi(w235, w234), w241 = hi(w237, w239), w242 = lo(w238, w236), w243 = hi(w238, w236), w244 = hi(w241,
        w242), w245 = lo(w240, w243), w246 = hi(w240, w243), w247 = lo(w244, w245), w248 = hi(w244, w245), w249 =
        lo(w9, w84), w250 = hi(w9, w84), w251 = lo(w34, w109), w252 = hi(w34, w109), w253 = lo(w249, w59), w254 =
        hi(w249, w59), w255 = lo(w251, w250), w256 = hi(w251, w250), w257 = hi(w253, w255), w258 = lo(w254, w252),
        w259 = hi(w254, w252), w260 = hi(w257, w258), w261 = lo(w256, w259), w262 = hi(w256, w259), w263 = lo(w260,
        w261), w264 = hi(w260, w261), w265 = lo(w10, w85), w266 = hi(w10, w85), w267 = lo(w35, w110), w268 = hi(w35,
        w110), w269 = lo(w265, w60), w270 = hi(w265, w60), w271 = lo(w267, w266), w272 = hi(w267, w266), w273 =
        hi(w269, w271), w274 = lo(w270, w268), w275 = hi(w270, w268), w276 = lo(w273, w274), w277 = hi(w273, w274),
        w278 = lo(w272, w275), w279 = hi(w272, w275), w280 = lo(w277, w278), w281 = hi(w277, w278), w282 = lo(w11,
        w86), w283 = hi(w11, w86), w284 = lo(w36, w111), w285 = hi(w36, w111), w286 = lo(w282, w61), w287 = hi(w282,
        w61), w288 = lo(w284, w283), w289 = hi(w284, w283), w290 = hi(w286, w288), w291 = lo(w287, w285), w292 =
        hi(w287, w285), w293 = lo(w290, w291), w294 = hi(w290, w291), w295 = lo(w289, w292), w296 = hi(w289, w292),
        w297 = lo(w294, w295), w298 = hi(w294, w295), w299 = lo(w12, w87), w300 = hi(w12, w87), w301 = lo(w37, w112),
        w302 = hi(w37, w112), w303 = lo(w299, w62), w304 = hi(w299, w62), w305 = lo(w301, w300), w306 = hi(w301,
        w300), w307 = hi(w303, w305), w308 = lo(w304, w302), w309 = hi(w304, w302), w310 = lo(w307, w308), w311 =
        hi(w307, w308), w312 = lo(w306, w309), w313 = lo(w311, w312), w314 = hi(w311, w312), w315 = lo(w13, w88), w316
        = hi(w13, w88), w317 = lo(w38, w113), w318 = hi(w38, w113), w319 = lo(w315, w63), w320 = hi(w315, w63), w321 =
        lo(w317, w316), w322 = hi(w317, w316), w323 = lo(w319, w321), w324 = hi(w319, w321), w325 = lo(w320, w318),
        w326 = hi(w320, w318), w327 = lo(w324, w325), w328 = hi(w324, w325), w329 = lo(w322, w326), w330 = lo(w328,
        w329), w331 = hi(w328, w329), w332 = lo(w14, w89), w333 = hi(w14, w89), w334 = lo(w39, w114), w335 = hi(w39,
        w114), w336 = lo(w332, w64), w337 = hi(w332, w64), w338 = lo(w334, w333), w339 = hi(w334, w333), w340 =
        lo(w336, w338), w341 = hi(w336, w338), w342 = lo(w337, w335), w343 = hi(w337, w335), w344 = lo(w341, w342),
        w345 = hi(w341, w342), w346 = lo(w339, w343), w347 = lo(w345, w346), w348 = hi(w345, w346), w349 = lo(w15,
        w90), w350 = hi(w15, w90), w351 = lo(w40, w115), w352 = hi(w40, w115), w353 = lo(w349, w65), w354 = hi(w349,
        w65), w355 = lo(w351, w350), w356 = hi(w351, w350), w357 = lo(w353, w355), w358 = hi(w353, w355), w359 =
        lo(w354, w352), w360 = lo(w358, w359), w361 = hi(w358, w359), w362 = lo(w361, w356), w363 = lo(w16, w91), w364
        = hi(w16, w91), w365 = lo(w41, w116), w366 = hi(w41, w116), w367 = lo(w363, w66), w368 = hi(w363, w66), w369 =
        lo(w365, w364), w370 = hi(w365, w364), w371 = lo(w367, w369), w372 = hi(w367, w369), w373 = lo(w368, w366),
        w374 = lo(w372, w373), w375 = hi(w372, w373), w376 = lo(w375, w370), w377 = lo(w17, w92), w378 = hi(w17, w92),
        w379 = lo(w42, w117), w380 = hi(w42, w117), w381 = lo(w377, w67), w382 = hi(w377, w67), w383 = lo(w379, w378),
        w384 = hi(w379, w378), w385 = lo(w381, w383), w386 = hi(w381, w383), w387 = lo(w382, w380), w388 = lo(w386,
        w387), w389 = hi(w386, w387), w390 = lo(w389, w384), w391 = lo(w18, w93), w392 = hi(w18, w93), w393 = lo(w43,
        w118), w394 = hi(w43, w118), w395 = lo(w391, w68), w396 = hi(w391, w68), w397 = lo(w393, w392), w398 =
        hi(w393, w392), w399 = lo(w395, w397), w400 = hi(w395, w397), w401 = lo(w396, w394), w402 = lo(w400, w401),
        w403 = hi(w400, w401), w404 = lo(w403, w398), w405 = lo(w19, w94), w406 = hi(w19, w94), w407 = lo(w44, w119),
        w408 = hi(w44, w119), w409 = lo(w405, w69), w410 = hi(w405, w69), w411 = lo(w407, w406), w412 = hi(w407,
        w406), w413 = lo(w409, w411), w414 = hi(w409, w411), w415 = lo(w410, w408), w416 = lo(w414, w415), w417 =
        hi(w414, w415), w418 = lo(w417, w412), w419 = lo(w20, w95), w420 = hi(w20, w95), w421 = lo(w45, w120), w422 =
        hi(w45, w120), w423 = lo(w419, w70), w424 = hi(w419, w70), w425 = lo(w421, w420), w426 = hi(w421, w420), w427
        = lo(w423, w425), w428 = hi(w423, w425), w429 = lo(w424, w422), w430 = lo(w428, w429), w431 = hi(w428, w429),
        w432 = lo(w431, w426), w433 = lo(w21, w96), w434 = hi(w21, w96), w435 = lo(w46, w121), w436 = hi(w46, w121),
        w437 = lo(w433, w71), w438 = hi(w433, w71), w439 = lo(w435, w434), w440 = lo(w437, w439), w441 = hi(w437,
        w439), w442 = lo(w438, w436), w443 = lo(w441, w442), w444 = lo(w22, w97), w445 = hi(w22, w97), w446 = lo(w47,
        w122), w447 = hi(w47, w122), w448 = lo(w444, w72), w449 = hi(w444, w72), w450 = lo(w446, w445), w451 =
        lo(w448, w450), w452 = hi(w448, w450), w453 = lo(w449, w447), w454 = lo(w452, w453), w455 = lo(w23, w98), w456
        = hi(w23, w98), w457 = lo(w48, w123), w458 = hi(w48, w123), w459 = lo(w455, w73), w460 = hi(w455, w73), w461 =
        lo(w457, w456), w462 = lo(w459, w461), w463 = hi(w459, w461), w464 = lo(w460, w458), w465 = lo(w463, w464),
        w466 = lo(w24, w99), w467 = hi(w24, w99), w468 = lo(w49, w124), w469 = hi(w49, w124), w470 = lo(w466, w74),
        w471 = hi(w466, w74), w472 = lo(w468, w467), w473 = lo(w470, w472), w474 = hi(w470, w472), w475 = lo(w471,
        w469), w476 = lo(w474, w475), w477 = hi(w323, w134), w478 = lo(w440, w246), w479 = hi(w440, w246), w480 =
        lo(w478, w477), w481 = hi(w478, w477), w482 = lo(w385, w182), w483 = hi(w385, w182), w484 = lo(w482, w480),
        w485 = hi(w482, w480), w486 = lo(w483, w481), w487 = hi(w483, w481), w488 = lo(w357, w156), w489 = hi(w357,
        w156), w490 = lo(w462, w279), w491 = lo(w490, w489), w492 = hi(w490, w489), w493 = lo(w413, w214), w494 =
        hi(w413, w214), w495 = lo(w493, w491), w496 = hi(w493, w491), w497 = lo(w494, w492), w498 = hi(w494, w492),
        w499 = hi(w488, w484), w500 = lo(w495, w485), w501 = hi(w495, w485), w502 = lo(w496, w486), w503 = hi(w496,
        w486), w504 = lo(w497, w487), w505 = hi(w497, w487), w506 = lo(w498, w479), w507 = hi(w498, w479), w508 =
        hi(w340, w145), w509 = lo(w451, w262), w510 = hi(w451, w262), w511 = lo(w509, w508), w512 = hi(w509, w508),
        w513 = lo(w399, w198), w514 = hi(w399, w198), w515 = lo(w513, w511), w516 = hi(w513, w511), w517 = lo(w514,
        w512), w518 = hi(w514, w512), w519 = lo(w371, w167), w520 = hi(w371, w167), w521 = lo(w473, w296), w522 =
        lo(w521, w520), w523 = hi(w521, w520), w524 = lo(w427, w230), w525 = hi(w427, w230), w526 = lo(w524, w522),
        w527 = hi(w524, w522), w528 = lo(w525, w523), w529 = hi(w525, w523), w530 = lo(w519, w515), w531 = hi(w519,
        w515), w532 = lo(w526, w516), w533 = hi(w526, w516), w534 = lo(w527, w517), w535 = hi(w527, w517), w536 =
        lo(w528, w518), w537 = hi(w528, w518), w538 = lo(w529, w510), w539 = lo(w530, w499), w540 = hi(w530, w499),
        w541 = lo(w531, w500), w542 = hi(w531, w500), w543 = lo(w532, w501), w544 = hi(w532, w501), w545 = lo(w533,
        w502), w546 = hi(w533, w502), w547 = lo(w534, w503), w548 = hi(w534, w503), w549 = lo(w535, w504), w550 =
        hi(w535, w504), w551 = lo(w536, w505), w552 = hi(w536, w505), w553 = lo(w537, w506), w554 = hi(w537, w506),
        w555 = lo(w538, w507), w556 = hi(w538, w507), w557 = hi(w276, w135), w558 = lo(w402, w248), w559 = hi(w402,
        w248), w560 = hi(w558, w557), w561 = hi(w344, w184), w562 = lo(w454, w314), w563 = lo(w562, w561), w564 =
        hi(w562, w561), w565 = lo(w563, w560), w566 = hi(w563, w560), w567 = lo(w564, w559), w568 = hi(w310, w157),
        w569 = lo(w430, w281), w570 = lo(w569, w568), w571 = hi(w569, w568), w572 = lo(w374, w216), w573 = hi(w374,
        w216), w574 = lo(w476, w348), w575 = lo(w574, w573), w576 = hi(w572, w570), w577 = lo(w575, w571), w578 =
        hi(w575, w571), w579 = lo(w576, w565), w580 = hi(w576, w565), w581 = lo(w577, w566), w582 = hi(w577, w566),
        w583 = lo(w578, w567), w584 = hi(w578, w567), w585 = hi(w293, w146), w586 = lo(w416, w264), w587 = hi(w416,
        w264), w588 = lo(w586, w585), w589 = hi(w586, w585), w590 = lo(w360, w200), w591 = hi(w360, w200), w592 =
        lo(w465, w331), w593 = lo(w592, w591), w594 = hi(w592, w591), w595 = hi(w590, w588), w596 = lo(w593, w589),
        w597 = hi(w593, w589), w598 = lo(w594, w587), w599 = hi(w327, w168), w600 = lo(w443, w298), w601 = lo(w600,
        w599), w602 = hi(w600, w599), w603 = lo(w388, w232), w604 = hi(w388, w232), w605 = lo(w603, w601), w606 =
        hi(w603, w601), w607 = lo(w604, w602), w608 = hi(w604, w602), w609 = hi(w605, w595), w610 = lo(w606, w596),
        w611 = hi(w606, w596), w612 = lo(w607, w597), w613 = hi(w607, w597), w614 = lo(w608, w598), w615 = lo(w609,
        w579), w616 = hi(w609, w579), w617 = lo(w610, w580), w618 = hi(w610, w580), w619 = lo(w611, w581), w620 =
        hi(w611, w581), w621 = lo(w612, w582), w622 = hi(w612, w582), w623 = lo(w613, w583), w624 = hi(w613, w583),
        w625 = lo(w614, w584), w626 = hi(w614, w584), w627 = hi(w615, w183), w628 = lo(w623, w313), w629 = hi(w623,
        w313), w630 = lo(w628, w627), w631 = hi(w628, w627), w632 = lo(w629, w432), w633 = lo(w619, w247), w634 =
        hi(w619, w247), w635 = lo(w376, w634), w636 = hi(w376, w634), w637 = hi(w633, w630), w638 = lo(w635, w631),
        w639 = hi(w635, w631), w640 = lo(w636, w632), w641 = hi(w636, w632), w642 = hi(w617, w215), w643 = lo(w625,
        w347), w644 = hi(w625, w347), w645 = lo(w643, w642), w646 = hi(w643, w642), w647 = lo(w621, w280), w648 =
        hi(w621, w280), w649 = lo(w404, w648), w650 = lo(w647, w645), w651 = hi(w647, w645), w652 = lo(w649, w646),
        w653 = hi(w649, w646), w654 = lo(w650, w637), w655 = hi(w650, w637), w656 = lo(w651, w638), w657 = hi(w651,
        w638), w658 = lo(w652, w639), w659 = hi(w652, w639), w660 = lo(w653, w640), w661 = hi(w653, w640), w662 =
        lo(w644, w641), w663 = hi(w616, w199), w664 = lo(w624, w330), w665 = hi(w624, w330), w666 = lo(w664, w663),
        w667 = hi(w664, w663), w668 = lo(w620, w263), w669 = hi(w620, w263), w670 = lo(w390, w669), w671 = hi(w390,
        w669), w672 = lo(w668, w666), w673 = hi(w668, w666), w674 = lo(w670, w667), w675 = hi(w670, w667), w676 =
        lo(w671, w665), w677 = hi(w618, w231), w678 = lo(w626, w362), w679 = hi(w626, w362), w680 = lo(w678, w677),
        w681 = hi(w678, w677), w682 = lo(w622, w297), w683 = hi(w622, w297), w684 = lo(w418, w683), w685 = lo(w682,
        w680), w686 = hi(w682, w680), w687 = lo(w684, w681), w688 = hi(w684, w681), w689 = lo(w685, w673), w690 =
        hi(w685, w673), w691 = lo(w686, w674), w692 = hi(w686, w674), w693 = lo(w687, w675), w694 = hi(w687, w675),
        w695 = lo(w688, w676), w696 = hi(w688, w676), w697 = lo(w672, w654), w698 = hi(w672, w654), w699 = lo(w689,
        w655), w700 = hi(w689, w655), w701 = lo(w690, w656), w702 = hi(w690, w656), w703 = lo(w691, w657), w704 =
        hi(w691, w657), w705 = lo(w692, w658), w706 = hi(w692, w658), w707 = lo(w693, w659), w708 = hi(w693, w659),
        w709 = lo(w694, w660), w710 = hi(w694, w660), w711 = lo(w695, w661), w712 = hi(w695, w661), w713 = lo(w696,
        w662), w714 = hi(w696, w662), w715 = hi(w539, w697), w716 = lo(w555, w713), w717 = hi(w716, w715), w718 =
        hi(w547, w705), w719 = lo(w718, w717), w720 = hi(w543, w701), w721 = lo(w551, w709), w722 = hi(w721, w720),
        w723 = lo(w722, w719), w724 = hi(w541, w699), w725 = lo(w679, w724), w726 = lo(w549, w707), w727 = hi(w726,
        w725), w728 = hi(w545, w703), w729 = lo(w553, w711), w730 = lo(w729, w728), w731 = hi(w730, w727), w732 =
        lo(w731, w723), w733 = hi(w540, w698), w734 = lo(w556, w714), w735 = lo(w734, w733), w736 = lo(w548, w706),
        w737 = hi(w736, w735), w738 = hi(w544, w702), w739 = lo(w552, w710), w740 = lo(w739, w738), w741 = hi(w740,
        w737), w742 = hi(w542, w700), w743 = lo(w550, w708), w744 = hi(w743, w742), w745 = hi(w546, w704), w746 =
        lo(w554, w712), w747 = lo(w746, w745), w748 = lo(w747, w744), w749 = hi(w748, w741), w750 = hi(w749, w732);
        out(62, w750);
    }
};
