"""The networks of the words family, as diffusers and transformers build them; Stable Diffusion 1's layout, narrow."""
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

CONTEXT = 64  # width of the text encoder's output
LATENT_SIDE = 16

AUTOENCODER = dict(in_channels=3, out_channels=3, latent_channels=4, sample_size=128,
                   block_out_channels=(16, 32, 64, 128), layers_per_block=1, norm_num_groups=4,
                   down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4)
TEXT = dict(vocab_size=49408, hidden_size=CONTEXT, num_hidden_layers=4, num_attention_heads=4, intermediate_size=256,
            max_position_embeddings=77, hidden_act="quick_gelu", bos_token_id=49406, eos_token_id=49407,
            pad_token_id=49407)
UNET = dict(sample_size=LATENT_SIDE, in_channels=4, out_channels=4, layers_per_block=1, cross_attention_dim=CONTEXT,
            attention_head_dim=8,  # the number of heads, as in Stable Diffusion 1
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"))
UNETS = {"s": dict(UNET, block_out_channels=(32, 32, 64), norm_num_groups=16),
         "l": dict(UNET, block_out_channels=(64, 128, 192), norm_num_groups=32)}
SCHEDULE = dict(num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
                clip_sample=False, set_alpha_to_one=False, steps_offset=1, prediction_type="epsilon")


def autoencoder():
    return AutoencoderKL(**AUTOENCODER)


def text_encoder():
    return CLIPTextModel(CLIPTextConfig(**TEXT))


def unet(size):
    return UNet2DConditionModel(**UNETS[size])


def scheduler():
    return DDIMScheduler(**SCHEDULE)
